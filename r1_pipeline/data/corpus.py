"""The rows of a corpus as they are written and counted: shards `samples-00000.parquet` and on.

Not covered: which rows these are (`generation`, `merge`), how shards lie on disk (`artifacts.tables`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.tables import frame_of, write_shards
from r1_pipeline.records import DOMAINS, Problem, Sample

if TYPE_CHECKING:
    import polars as pl

SAMPLES = "samples"


def write_samples(directory: Path, samples: Sequence[Sample]) -> None:
    """Rows that fit in memory as records, in their order."""
    write_shards(directory, SAMPLES, [frame_of(samples, Sample)])


def corpus_statistics(directory: Path) -> dict[str, Any]:
    """Of the shards in `directory`: `rows`, `by_domain`, `tokens_by_domain`, `mean_tokens_by_domain`, `rounds`: the
    mean, and `rounds_by_domain` where some row has several."""
    import polars as pl

    rows = pl.scan_parquet(directory / f"{SAMPLES}-*.parquet")
    rounds = pl.col("rounds").fill_null(1).sum() if "rounds" in rows.collect_schema() else pl.len()
    sums = {"rows": pl.len(), "tokens": pl.col("tokens").sum(), "rounds": rounds}
    counted = rows.group_by("domain").agg(**sums).collect(engine="streaming")
    found = {domain: (count, tokens) for domain, count, tokens, _ in counted.iter_rows()}
    turns = {domain: said / count for domain, count, _, said in counted.iter_rows()}
    there = [domain for domain in DOMAINS if domain in found]
    total = sum(count for count, _ in found.values())
    mean = sum(turns[domain] * count for domain, (count, _) in found.items()) / max(total, 1)
    several = {domain: round(turns[domain], 2) for domain in there} if any(said > 1 for said in turns.values()) else {}
    return {
        "rows": total,
        "by_domain": {domain: found[domain][0] for domain in there},
        "tokens_by_domain": {domain: found[domain][1] for domain in there},
        "mean_tokens_by_domain": {domain: round(found[domain][1] / found[domain][0], 1) for domain in there},
        "rounds": round(mean, 2) if several else 1,
        **({"rounds_by_domain": several} if several else {}),
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
