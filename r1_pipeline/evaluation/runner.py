"""Asking a model the held-out problems, judging what it says, and keeping both.

The work is cut into shards; a finished shard lies in the draft's scratch and is not repeated by an interrupted run.
Seeds belong to (problem, sample), so shards cannot change a completion. `completions.parquet` holds every completion
with its verdict: `rescore` judges the same completions again with another grader and needs no model.
Not covered: the arithmetic (`evaluation.scores`, `evaluation.estimators`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import model_validator

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import read_table, write_table
from r1_pipeline.data.templates import TemplateName, split_reply, template_hash
from r1_pipeline.evaluation.estimators import ballot
from r1_pipeline.evaluation.scores import EvalScores, Identity, score
from r1_pipeline.generation.engine import Engine, requests_for
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Completion, Domain, Problem, Record, Request, Sampling, Verdict
from r1_pipeline.rewards.extract import final_answer
from r1_pipeline.rewards.fmt import is_well_formed
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.rubric import reasoning_of
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

SHARD = 1024
"""Requests a shard: what an interruption costs at most."""


class EvaluateRecipe(Recipe):
    """The protocol of one evaluation (paper, supplement D.1)."""

    sampling: Sampling
    """The paper samples at 0.6 and 0.95: greedy answers repeat themselves and differ much between checkpoints."""
    samples: int
    """Completions a problem."""
    ks: tuple[int, ...]
    """pass@k is reported at these; each at most `samples`."""
    problems: dict[Domain, int]
    """Problems asked, by domain: the first so many of the held-out set. Maths carries the bars: at least 512."""
    seed: int
    """Root of every sample's seed."""

    @model_validator(mode="after")
    def _ks_can_be_estimated(self) -> "EvaluateRecipe":
        if not all(1 <= k <= self.samples for k in self.ks):
            raise ValueError(f"ks {self.ks} must lie in 1..{self.samples} (samples a problem)")
        return self


class Subject(Record):
    """Who is examined with what."""

    model: str
    """Asset key, partition after a slash."""
    model_digest: str
    problems_digest: str


def evaluate(
    engine: Engine,
    grader: Grader,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: EvaluateRecipe,
    subject: Subject,
    draft: Draft,
    shard: int = SHARD,
) -> EvalScores:
    """Sample, judge, score; leaves `completions.parquet` and `scores.json` in the draft."""
    asked = select(problems, recipe.problems)
    identity = Identity(
        **subject.model_dump(),
        template=template,
        template_hash=template_hash(template),
        sampling=recipe.sampling,
        samples=recipe.samples,
        seed=recipe.seed,
        engine=engine.identity,
        verifiers=_verifiers(grader, asked),
    )
    by_id = {problem.id: problem for problem in asked}
    requests = requests_for(asked, template, recipe.samples, recipe.seed)
    shards = [requests[i : i + shard] for i in range(0, len(requests), shard)]
    frames = []
    for index, part in enumerate(shards):
        path = draft.scratch / f"answers-{index:05d}.parquet"
        frame = _finished(path, part, draft)
        if frame is None:
            frame = judge(engine.generate(part, recipe.sampling), by_id, grader, template)
            _write_whole(path, frame)
            draft.log(index + 1, len(shards), _progress(frame))
        frames.append(frame)
    return _conclude(frames, identity, recipe.ks, draft)


def rescore(
    stored: "pl.DataFrame", before: EvalScores, grader: Grader, problems: Sequence[Problem], draft: Draft
) -> EvalScores:
    """Judge stored completions with `grader`: new verdicts and scores, the same completions, no engine."""
    by_id = {problem.id: problem for problem in problems}
    completions = [Completion.model_validate(row) for row in stored.select(_COMPLETION).iter_rows(named=True)]
    frame = judge(completions, by_id, grader, before.identity.template)
    asked = [by_id[problem_id] for problem_id in frame["problem_id"].unique(maintain_order=True)]
    identity = before.identity.model_copy(update={"verifiers": _verifiers(grader, asked)})
    return _conclude([frame], identity, tuple(before.overall.pass_at_k), draft)


def select(problems: Sequence[Problem], counts: Mapping[Domain, int]) -> list[Problem]:
    """The first so many problems of each domain, in stored order. Raises `ValueError` where there are too few."""
    chosen = []
    for domain, count in counts.items():
        found = [problem for problem in problems if problem.domain == domain]
        if len(found) < count:
            raise ValueError(f"{len(found)} held-out problems in {domain}, {count} wanted; curate more or ask fewer")
        chosen += found[:count]
    return chosen


_COMPLETION = tuple(Completion.model_fields)


def judge(
    completions: Sequence[Completion], problems: Mapping[str, Problem], grader: Grader, template: TemplateName
) -> "pl.DataFrame":
    """One row a completion: what was said, what it was judged, and the plain measurements of its text."""
    import polars as pl

    pairs = [(problems[completion.problem_id], completion) for completion in completions]
    verdicts = grader.grade_all(pairs, template)
    rows = [
        _row(problem, completion, verdict, template)
        for (problem, completion), verdict in zip(pairs, verdicts, strict=True)
    ]
    return pl.DataFrame(
        rows,
        schema_overrides={"token_ids": pl.List(pl.Int32), "score": pl.Float64, "ballot": pl.String},
        infer_schema_length=None,
    )


def _row(problem: Problem, completion: Completion, verdict: Verdict, template: TemplateName) -> dict[str, object]:
    answer = _answer(problem, completion, template)
    return {
        "domain": problem.domain,
        "language": problem.language,
        **completion.model_dump(),
        "tokens": len(completion.token_ids),
        "ballot": None if answer is None else ballot(answer),
        "well_formed": is_well_formed(template, completion.text),
        "language_share": language_share(reasoning_of(template, completion.text), problem.language),
        **verdict.model_dump(mode="json"),
    }


def _answer(problem: Problem, completion: Completion, template: TemplateName) -> str | None:
    """What the completion votes for: a program or a text as a whole, else the extracted answer; None if it has none."""
    final = split_reply(template, completion.text).final
    if completion.finish_reason == "length" or not final:
        return None
    return final if problem.domain in ("code", "general") else final_answer(final).answer


def _verifiers(grader: Grader, asked: Sequence[Problem]) -> dict[str, str]:
    used = {problem.domain for problem in asked}
    return {domain: identity for domain, identity in grader.identity.items() if domain in used}


def _finished(path: Path, shard: Sequence[Request], draft: Draft) -> "pl.DataFrame | None":
    """The rows of a shard judged before an interruption; None, loudly, if they are damaged or answer other requests."""
    from pyarrow import ArrowException

    if not path.exists():
        return None
    try:
        frame = read_table(path)
    except (OSError, ArrowException) as error:
        draft.note(f"{path.name} from an interrupted run is damaged ({error}); sampling it again")
        return None
    found = frame.select("problem_id", "sample_index", "seed").rows()
    if found != [(request.problem_id, request.sample_index, request.seed) for request in shard]:
        draft.note(f"{path.name} from an interrupted run answers other requests; sampling it again")
        return None
    return frame


def _write_whole(path: Path, frame: "pl.DataFrame") -> None:
    """Only a whole file ever has the final name."""
    partial = path.with_suffix(".partial")
    write_table(partial, frame)
    partial.replace(path)


def _progress(frame: "pl.DataFrame") -> dict[str, float]:
    measured = {"pass_at_1": "score", "format_rate": "well_formed", "language": "language_share", "tokens": "tokens"}
    means = {name: frame[column].cast(float).drop_nulls().to_list() for name, column in measured.items()}
    return {name: sum(values) / len(values) for name, values in means.items() if values}


def _conclude(frames: Sequence["pl.DataFrame"], identity: Identity, ks: tuple[int, ...], draft: Draft) -> EvalScores:
    import polars as pl

    frame = pl.concat(frames)
    scores = score(frame, identity, ks)
    write_table(draft.path / "completions.parquet", frame)
    (draft.path / "scores.json").write_text(scores.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return scores
