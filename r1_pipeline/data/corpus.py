"""The rows of a corpus as they are written and counted: shards `samples-00000.parquet` and on.

Not covered: which rows these are (`generation`, `merge`), how shards lie on disk (`artifacts.tables`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.tables import frame_of, write_shards
from r1_pipeline.records import DOMAINS, ROUNDS, Problem, Sample

if TYPE_CHECKING:
    import polars as pl

SAMPLES = "samples"


def write_samples(directory: Path, samples: Sequence[Sample]) -> None:
    """Rows that fit in memory as records, in their order."""
    write_shards(directory, SAMPLES, [frame_of(samples, Sample)])


def corpus_statistics(directory: Path) -> dict[str, Any]:
    """Of the shards in `directory`: `rows`, `by_domain`, `tokens_by_domain`, `mean_tokens_by_domain`, `rounds`."""
    import polars as pl

    rows = pl.scan_parquet(directory / f"{SAMPLES}-*.parquet")
    counted = rows.group_by("domain").agg(rows=pl.len(), tokens=pl.col("tokens").sum()).collect(engine="streaming")
    found = {domain: (count, tokens) for domain, count, tokens in counted.iter_rows()}
    there = [domain for domain in DOMAINS if domain in found]
    return {
        "rows": sum(count for count, _ in found.values()),
        "by_domain": {domain: found[domain][0] for domain in there},
        "tokens_by_domain": {domain: found[domain][1] for domain in there},
        "mean_tokens_by_domain": {domain: round(found[domain][1] / found[domain][0], 1) for domain in there},
        "rounds": ROUNDS,
    }


def heldout_problem(
    heldout: Sequence[Problem], question: "Callable[[pl.Expr], pl.Expr]" = lambda column: column
) -> "pl.Expr":
    """Id of the held-out problem that a row asks, by the id or by the question; null for a row that asks none.

    `question` says what of two questions must be the same: the very text, or such as `plain`, which leaves out how it
    is set.
    """
    import polars as pl

    def found(read: pl.Expr, keys: Sequence[str]) -> pl.Expr:
        by_key = dict(zip(keys, (problem.id for problem in heldout), strict=True))
        return read.replace_strict(list(by_key), list(by_key.values()), default=None, return_dtype=pl.String)

    asked = pl.Series("question", [problem.question for problem in heldout], dtype=pl.String).to_frame()
    return pl.coalesce(
        found(pl.col("problem_id"), [problem.id for problem in heldout]),
        found(question(pl.col("question")), asked.select(question(pl.col("question"))).to_series().to_list()),
    )
