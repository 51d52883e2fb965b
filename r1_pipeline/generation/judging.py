"""Sampling a model and judging what it says, in shards that an interruption cannot lose.

`sample_and_judge` is what evaluation, cold-start drafting and rejection sampling share: one table row a completion,
with its verdict and the plain measurements of its text. A finished shard lies in the draft's scratch and is not
repeated by an interrupted run; seeds belong to (problem, sample), so shards cannot change a completion.
Not covered: what is then counted (`evaluation.scores`) or kept (`generation.rejection`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import read_table, write_table
from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.generation.engine import Engine, requests_for
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Completion, Problem, Request, Sampling, Verdict
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


def sample_and_judge(
    engine: Engine,
    grader: Grader,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: SampleRecipe,
    draft: Draft,
    shard: int = SHARD,
) -> "pl.DataFrame":
    """One row a completion, problem by problem (columns: `judge`)."""
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    requests = requests_for(problems, template, recipe.samples, recipe.seed)
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
    return pl.concat(frames)


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
        schema_overrides={
            "token_ids": pl.List(pl.Int32),
            "seed": pl.Int64,
            "score": pl.Float64,
            "final": pl.String,
            "reasoning": pl.String,
        },
        infer_schema_length=None,
    )


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
