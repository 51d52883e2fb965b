"""This module drops problems and preference pairs that hold an item of a benchmark, or its canary.

It serves the sets that models are reinforced on and reward models are trained on; corpora are screened row by row
(`rows`). An item is found by the same rules (`contamination`), and also by its id and its exact question.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from r1_pipeline.artifacts.kinds import ProblemSet
from r1_pipeline.data.ingest.rows import DroppedRow, Place
from r1_pipeline.data.screening.contamination import build_index, contaminated
from r1_pipeline.data.screening.ngrams import tokenize
from r1_pipeline.data.screening.rows import STANDARD_SCREENING, screening_identity
from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import PreferencePair, Problem

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T", Problem, PreferencePair)
CONTAMINATED = "contaminated"
CANARY = "canary"
"""The drop reasons."""


def without_benchmarks(rows: Sequence[T], benchmarks: Mapping[str, ProblemSet]) -> tuple[list[T], list[DroppedRow]]:
    """Splits rows into those that hold no item and no canary of `benchmarks` and the others, in the given order."""
    import polars as pl

    if not benchmarks or not rows:
        return list(rows), []
    items = [(name, problem) for name, held in benchmarks.items() for problem in held.problems()]
    of = {problem.id: f"{problem.id} of {name}" for name, problem in items}
    references = pl.DataFrame(
        {"id": [problem.id for _, problem in items], "text": [problem.question for _, problem in items]},
        schema={"id": pl.String, "text": pl.String},
    )
    texts = pl.Series("text", [_text(row) for row in rows], dtype=pl.String)
    found = contaminated(texts, tokenize(texts), build_index(references, STANDARD_SCREENING.contamination))
    faults = {
        row: (CONTAMINATED, f"holds {of[against]}: {ngram}")
        for row, against, ngram in found.select("row", "against", "ngram").iter_rows()
    }
    questions = {problem.question: problem.id for _, problem in items}
    canaries = canaries_of(benchmarks)
    for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
        asked = row.question if isinstance(row, Problem) else row.prompt
        if same := row.id if row.id in of else questions.get(asked):
            faults[number] = (CONTAMINATED, f"is {of[same]}")
        if canary := next((each for each in canaries if each in text), None):
            faults[number] = (CANARY, f"holds the canary of {canaries[canary]}")
    dropped = [Place.of(rows[number].source).drop(*fault) for number, fault in sorted(faults.items())]
    return [row for number, row in enumerate(rows) if number not in faults], dropped


def canaries_of(benchmarks: Mapping[str, ProblemSet]) -> dict[str, str]:
    """Returns the names of benchmarks by their canaries."""
    return {canary: name for name, held in benchmarks.items() for canary in held.canaries}


def benchmarks_identity(benchmarks: Mapping[str, ProblemSet]) -> dict[str, str]:
    """Returns what decides about a drop in addition to the problems of the benchmarks, for fingerprints."""
    if not benchmarks:
        return {}
    limits = fingerprint(STANDARD_SCREENING.contamination)[:16]
    return {**screening_identity(), "contamination": limits, **canaries_identity(benchmarks)}


def canaries_identity(benchmarks: Mapping[str, ProblemSet]) -> dict[str, str]:
    """Returns the canaries of the benchmarks for fingerprints; empty if they have none."""
    canaries = canaries_of(benchmarks)
    return {"canaries": "/".join(sorted(canaries))} if canaries else {}


def rows_with_canary(rows: "pl.LazyFrame", canaries: Mapping[str, str]) -> "pl.DataFrame":
    """Returns `row`, `against` (the name of a benchmark) and `reason` of the rows whose `text` holds a canary."""
    import polars as pl

    owner = pl.coalesce(
        pl.lit(None, dtype=pl.String),
        *(pl.when(pl.col("text").str.contains(each, literal=True)).then(pl.lit(of)) for each, of in canaries.items()),
    )
    numbered = rows.select(against=owner).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    found = numbered.filter(pl.col("against").is_not_null()).with_columns(reason=pl.lit(CANARY))
    return found.collect(engine="streaming")


def _text(row: Problem | PreferencePair) -> str:
    if isinstance(row, PreferencePair):
        return "\n".join((row.prompt, row.chosen, row.rejected))
    return "\n".join(filter(None, (row.question, row.answer, row.reply)))
