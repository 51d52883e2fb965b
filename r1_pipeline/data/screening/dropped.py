"""Where dropped rows go: `dropped-*.parquet` of the artifact that they are not in, to be read by a person.

    id  reason  against  ngram  value  text

as in `rows`; replies have the id `problem/sample`. The manifest counts the reasons.
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
    """Dropped rows as a table; what a row does not say is null."""
    import polars as pl

    schema = dict.fromkeys(("id", "reason", "against", "ngram", "value", "text"), pl.String) | {"value": pl.Float64}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def write_dropped(draft: Draft, dropped: "pl.DataFrame") -> Counter[str]:
    """Writes dropped rows into the artifact; returns how many had which reason."""
    write_shards(draft.path, DROPPED, [dropped])
    return Counter(dropped["reason"])
