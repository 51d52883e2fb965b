"""This module writes the rows of a corpus into shards, `samples-00000.parquet` and up, and computes their statistics.

Not covered: which rows these are (`generation`, `merge`), and the layout of shards on disk (`artifacts.tables`).
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
    """Writes rows that fit in memory as records, in their order."""
    write_shards(directory, SAMPLES, [frame_of(samples, Sample)])


def corpus_statistics(directory: Path) -> dict[str, Any]:
    """Returns the statistics of the shards in `directory`.

    The keys are `rows`, `by_domain`, `tokens_by_domain`, `mean_tokens_by_domain`, `rounds` (the mean number of user
    turns) and, where some row has several turns, `rounds_by_domain`.
    """
    import polars as pl

    rows = pl.scan_parquet(directory / f"{SAMPLES}-*.parquet")
    rounds = pl.col("rounds").fill_null(1).sum() if "rounds" in rows.collect_schema() else pl.len()
    sums = {"rows": pl.len(), "tokens": pl.col("tokens").sum(), "rounds": rounds}
    counted = rows.group_by("domain").agg(**sums).collect(engine="streaming")
    found = {domain: (count, tokens) for domain, count, tokens, _ in counted.iter_rows()}
    mean_rounds = {domain: turns / count for domain, count, _, turns in counted.iter_rows()}
    present = [domain for domain in DOMAINS if domain in found]
    total = sum(count for count, _ in found.values())
    mean = sum(mean_rounds[domain] * count for domain, (count, _) in found.items()) / max(total, 1)
    has_several = any(rounds > 1 for rounds in mean_rounds.values())
    several = {domain: round(mean_rounds[domain], 2) for domain in present} if has_several else {}
    return {
        "rows": total,
        "by_domain": {domain: found[domain][0] for domain in present},
        "tokens_by_domain": {domain: found[domain][1] for domain in present},
        "mean_tokens_by_domain": {domain: round(found[domain][1] / found[domain][0], 1) for domain in present},
        "rounds": round(mean, 2) if several else 1,
        **({"rounds_by_domain": several} if several else {}),
    }


def heldout_problem(
    heldout: Sequence[Problem], question: "Callable[[pl.Expr], pl.Expr]" = lambda column: column
) -> "pl.Expr":
    """Returns an expression for the id of the held-out problem that a row is about, null where it is about none.

    A row is about a problem with the same id or the same question. `question` maps the questions before they are
    compared: the identity compares them verbatim, `plain` compares them without their typesetting.
    """
    import polars as pl

    def found(read: pl.Expr, keys: Sequence[str]) -> pl.Expr:
        by_key = dict(zip(keys, (problem.id for problem in heldout), strict=True))
        return read.replace_strict(list(by_key), list(by_key.values()), default=None, return_dtype=pl.String)

    questions = pl.Series("question", [problem.question for problem in heldout], dtype=pl.String).to_frame()
    return pl.coalesce(
        found(pl.col("problem_id"), [problem.id for problem in heldout]),
        found(question(pl.col("question")), questions.select(question(pl.col("question"))).to_series().to_list()),
    )
