"""Rejection sampling turns graded completions into corpus rows: screen, rewrite, keep the first few of each problem.

It implements section B.3.3 of the paper's supplement, and cold-start drafting (B.3.2), which differs only in the policy
and the rewriter: only verified-correct, well-formed, readable completions in one language survive, and by recipe only
those that luck does not explain. A rewritten text is graded, measured and screened once more, and its reasons start
with `rewritten_`. All drops are counted.
Not covered: sampling (`sampling`), grading (`grade_completions`), the rules (`data.screening.replies`, `guessing`), the
wording (`rewriting`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from r1_pipeline.data.samples import sample_from_problem
from r1_pipeline.data.screening.replies import ReplyRecipe, screen_replies
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.guessing import GuessingRecipe, screen_guesses
from r1_pipeline.generation.rewriting import Accepted, ByCheckpoint, Rewrite, Rewriter, Writer
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord, completion_schema
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import STORED, Outcome, Problem, Sample
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

Drop = Mapping[str, Any]
"""A dropped row, with `id` and `reason`."""


class KeepRecipe(Recipe):
    """The recipe that decides which completions become corpus rows."""

    rules: ReplyRecipe
    per_problem: int
    """The maximum number of distinct rows kept for one problem."""
    luck: Annotated[GuessingRecipe | None, AddedField()] = None
    """The limits for right answers among few; None: all count."""


class RejectionRecipe(Recipe):
    """The recipe of corpus rows from a policy's completions."""

    ask: SamplingRecipe
    keep: KeepRecipe


class RewriteKeepRecipe(KeepRecipe):
    """The recipe that decides which completions become corpus rows, and which model rewrites them."""

    writer: Writer


class RewriteRecipe(RejectionRecipe):
    """The recipe of corpus rows from a policy's completions, rewritten by a model."""

    keep: RewriteKeepRecipe

    def optional_inputs(self) -> Mapping[str, bool]:
        """Returns that a writer is needed if it is a checkpoint."""
        return {"writer": isinstance(self.keep.writer, ByCheckpoint)}


class RewriteResult(NamedTuple):
    """Rewritten rows, graded again."""

    passed: "pl.DataFrame"
    dropped: list[Drop]
    rewrites: list[Rewrite]
    writer: str


def screen_completions(
    judged: "pl.DataFrame", problems: Sequence[Problem], recipe: KeepRecipe
) -> tuple["pl.DataFrame", list[Drop]]:
    """Returns the rows that pass and the dropped rows, each in their order."""
    marked = screen_replies(judged, recipe.rules)
    return _parted(screen_guesses(marked, problems, recipe.luck) if recipe.luck else marked, judged.columns)


def rewrite_all(
    passed: "pl.DataFrame",
    problems: Sequence[Problem],
    rewriter: Rewriter,
    tokenize: Callable[[str], Sequence[int]],
    grader: Grader,
    rules: ReplyRecipe,
) -> RewriteResult:
    """Rewrites rows that passed, and keeps those that pass again when the new text is graded and measured."""
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    rows = list(passed.iter_rows(named=True))
    rewrites = rewriter.rewrite([_accepted(by_id[row["problem_id"]], row) for row in rows])
    rewritten: list[Mapping[str, Any]] = []
    dropped: list[Drop] = []
    for row, made in zip(rows, rewrites, strict=True):
        if made.response is None:
            dropped.append(_dropped({**row, "text": row["text"] if made.said is None else made.said}, str(made.reason)))
        else:
            own = {"text": made.response, "token_ids": tokenize(made.response), "finish_reason": "stop"}
            rewritten.append({**{name: row[name] for name in STORED}, **own})
    again = grade_completions(pl.DataFrame(rewritten, schema=completion_schema()), problems, grader, "chat")
    kept, more = _parted(screen_replies(again, rules), again.columns, "rewritten_")
    return RewriteResult(kept, [*dropped, *more], rewrites, rewriter.writer)


def keep_samples(
    passed: "pl.DataFrame",
    problems: Sequence[Problem],
    record: SamplingRecord,
    per_problem: int,
    writer: str | None = None,
) -> tuple[list[Sample], list[Drop]]:
    """Returns the rows and the dropped rows, each in their order; the rows are the first distinct replies of each
    problem.

    `writer` names the model that has rewritten them.
    """
    by_id = {problem.id: problem for problem in problems}
    kept: list[Sample] = []
    dropped: list[Drop] = []
    seen: dict[str, set[str]] = {}
    for row in passed.iter_rows(named=True):
        before, response = seen.setdefault(row["problem_id"], set()), row["text"].strip()
        if response in before:
            dropped.append(_dropped(row, "duplicate"))
        elif len(before) == per_problem:
            dropped.append(_dropped(row, "enough_of_this_problem"))
        else:
            before.add(response)
            kept.append(_sample(by_id[row["problem_id"]], response, row, record, writer))
    return kept, dropped


def _parted(marked: "pl.DataFrame", columns: Sequence[str], before: str = "") -> tuple["pl.DataFrame", list[Drop]]:
    """Returns these columns of the rows without a reason, and the other rows; `before` is the prefix of every
    reason."""
    import polars as pl

    passes = pl.col("reason").is_null()
    dropped = marked.filter(~passes).iter_rows(named=True)
    return marked.filter(passes).select(columns), [_dropped(row, before + row["reason"]) for row in dropped]


def _dropped(row: Mapping[str, Any], reason: str) -> Drop:
    return {**row, "id": f"{row['problem_id']}/{row['sample_index']}", "reason": reason}


def _sample(
    problem: Problem, response: str, row: Mapping[str, Any], record: SamplingRecord, writer: str | None
) -> Sample:
    return sample_from_problem(
        problem,
        response,
        generator=record.model_digest,
        engine=row["engine"],
        **record.sampling.model_dump(exclude={"stop"}),
        seed=row["seed"],
        sample_index=row["sample_index"],
        outcome=Outcome(row["outcome"]),
        verifier=row["verifier"],
        tokens=row["tokens"],
        language_share=row["language_share"],
        writer=writer,
    )


def _accepted(problem: Problem, row: Mapping[str, Any]) -> Accepted:
    return Accepted(
        problem=problem,
        reasoning=row["reasoning"] or "",
        final=row["final"],
        sample_index=row["sample_index"],
    )
