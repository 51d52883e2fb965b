"""Sampling a model and, apart from it, judging what it said.

    sample    requests -> one table row a completion, in shards that an interruption cannot lose
    judge     stored completions -> the same rows with verdicts and the plain measurements of their text

Evaluation, cold-start drafting and rejection sampling share both. Judging needs no model, so a changed verifier judges
what is stored. A finished shard lies in the draft's scratch and is not repeated by an interrupted run; seeds belong to
(problem, sample), so shards cannot change a completion.
Not covered: what is then counted (`evaluation.scores`) or kept (`generation.rejection`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import read_table, write_table
from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.generation.engine import Engine, requests_for
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import STORED, Completion, Problem, Request, Sampling, Verdict
from r1_pipeline.rewards.fmt import is_well_formed
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.repetition import repetition
from r1_pipeline.rewards.rubric import reasoning_of
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

SHARD = 1024
"""Requests a shard: what an interruption costs at most."""


class SampleRecipe(Recipe):
    """How a model is asked."""

    sampling: Sampling
    samples: int
    """Completions a problem."""
    seed: int
    """Root of every sample's seed."""


def sample(
    engine: Engine,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: SampleRecipe,
    draft: Draft,
    shard: int = SHARD,
) -> "pl.DataFrame":
    """One row a completion, problem by problem; the columns are the fields of `Completion`."""
    import polars as pl

    requests = requests_for(problems, template, recipe.samples, recipe.seed)
    shards = [requests[i : i + shard] for i in range(0, len(requests), shard)]
    frames = []
    for index, part in enumerate(shards):
        path = draft.scratch / f"answers-{index:05d}.parquet"
        frame = _finished(path, part, draft)
        if frame is None:
            said = engine.generate(part, recipe.sampling)
            frame = pl.DataFrame([completion.model_dump() for completion in said], schema=_schema())
            _write_whole(path, frame)
            draft.log(index + 1, len(shards), {**_progress(said), **engine.spent()})
        frames.append(frame)
    return pl.concat(frames)


def completions_of(frame: "pl.DataFrame") -> list[Completion]:
    """The rows of `sample` or `judge` as records."""
    rows = frame.select(STORED).iter_rows(named=True)
    return [Completion.model_validate(row) for row in rows]


def judge(
    completions: "pl.DataFrame", problems: Sequence[Problem], grader: Grader, template: TemplateName
) -> "pl.DataFrame":
    """One row a completion: what was said, what it was judged, and the plain measurements of its text."""
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    pairs = [(by_id[completion.problem_id], completion) for completion in completions_of(completions)]
    verdicts = grader.grade_all(pairs, template)
    rows = [
        _row(problem, completion, verdict, template)
        for (problem, completion), verdict in zip(pairs, verdicts, strict=True)
    ]
    optional = {"score": pl.Float64, "final": pl.String, "reasoning": pl.String, "extracted": pl.String}
    return pl.DataFrame(rows, schema_overrides={**_schema(), **optional}, infer_schema_length=None)


def _schema() -> "dict[str, pl.DataType | type[pl.DataType]]":
    """Columns of `sample`, whatever the rows."""
    import polars as pl

    kinds: dict[str, pl.DataType | type[pl.DataType]] = {
        "sample_index": pl.Int64,
        "seed": pl.Int64,
        "token_ids": pl.List(pl.Int32),
    }
    return {name: kinds.get(name, pl.String) for name in STORED}


def _row(problem: Problem, completion: Completion, verdict: Verdict, template: TemplateName) -> dict[str, object]:
    parts = split_reply(template, completion.text)
    return {
        "domain": problem.domain,
        "language": problem.language,
        **completion.model_dump(),
        "tokens": len(completion.token_ids),
        "well_formed": is_well_formed(template, completion.text),
        "language_share": language_share(reasoning_of(template, completion.text), problem.language),
        "repetition": repetition(completion.text),
        "reasoning": parts.reasoning,
        "final": parts.final,
        **verdict.model_dump(mode="json"),
    }


def _finished(path: Path, shard: Sequence[Request], draft: Draft) -> "pl.DataFrame | None":
    """A shard sampled before an interruption; None, loudly, if it is damaged or answers other requests."""
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


def _progress(said: Sequence[Completion]) -> dict[str, float]:
    return {
        "mean_tokens": sum(len(completion.token_ids) for completion in said) / len(said),
        "truncated": sum(completion.finish_reason == "length" for completion in said) / len(said),
    }
