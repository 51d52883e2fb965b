"""Dropped rows are written to `dropped-*.parquet` of the artifact that they are not in, for people to read.

The columns are `id`, `reason`, `against`, `ngram`, `value` and `text`, with the meaning they have in `rows`; replies
have the id `problem/sample`. The manifest counts the reasons.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.tables import write_shards

if TYPE_CHECKING:
    import polars as pl

DROPPED = "dropped"


def dropped_frame(rows: Iterable[Mapping[str, Any]]) -> "pl.DataFrame":
    """Returns dropped rows as a table; missing values are null."""
    import polars as pl

    schema = dict.fromkeys(("id", "reason", "against", "ngram", "value", "text"), pl.String) | {"value": pl.Float64}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def write_dropped(draft: Draft, dropped: "pl.DataFrame") -> Counter[str]:
    """Writes dropped rows into the artifact; returns the count of each reason."""
    write_shards(draft.path, DROPPED, [dropped])
    return Counter(dropped["reason"])
