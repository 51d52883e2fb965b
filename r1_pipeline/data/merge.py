"""A merge turns parts of a corpus into one: it screens, mixes, orders and shards the rows, in nearly constant memory.

    screen   one pass over the texts finds the rows that are held out, unreadable or duplicates (`screening.rows`)
    place    each domain gets at most the number of rows that the recipe takes, in an order that the seed decides
    copy     one pass copies every row to the bucket of its place, or to the dropped rows with its reason
    write    the buckets are sorted and written as shards, one after the other

Between the passes a few hundred bytes of each row are kept. A row's place depends on its id and the seed alone, so
other rows, threads and the sizes of the parts cannot change the order of two rows.
Not covered: where parts come from (`generation`), and the statistics of the result (`corpus`).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.artifacts.tables import ShardWriter, schema_of, stored_bytes
from r1_pipeline.data.corpus import SAMPLES, heldout_problem
from r1_pipeline.data.screening.boilerplate import loss_warning
from r1_pipeline.data.screening.dropped import DROPPED, dropped_frame
from r1_pipeline.data.screening.problems import rows_with_canary
from r1_pipeline.data.screening.rows import RowsRecipe, screen_rows
from r1_pipeline.data.templates import chat_reasoning
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import DOMAINS, Domain, Problem, Sample, sparse
from r1_pipeline.settings.cluster import Cluster

if TYPE_CHECKING:
    import polars as pl

Rows = NDArray[np.int64]
Keys = NDArray[np.uint64]
COLUMNS = ("sample_id", "problem_id", "domain", "language", "question", "response")
"""The columns that are read before rows are copied."""
BUCKET_BYTES = 64 * 1024**2
"""Bytes of rows that are sorted at once, as long as that makes at most `BUCKETS` files."""
BUCKETS = 256
"""The maximum number of bucket files that are open at once."""
STEPS = 3
"""Progress steps of a merge: screened, copied, written."""


class MergeRecipe(Recipe):
    """The recipe of a merge."""

    seed: int
    """The seed of the order of the rows."""
    screening: RowsRecipe
    """The limits of the screening; rows beyond them are dropped."""
    rows: Mapping[Domain, int]
    """The maximum number of rows of each domain, the first in the order of the seed; a domain without an entry is taken
    whole."""


def merge_parts(
    parts: Sequence[Corpus],
    heldout: Sequence[Problem],
    recipe: MergeRecipe,
    threads: int,
    draft: Draft,
    cluster: Cluster | None = None,
    canaries: Mapping[str, str] | None = None,
) -> Counter[str]:
    """Writes the merged corpus and the dropped rows; returns the count of each drop reason.

    `heldout` has the problems that must not occur in the corpus, and `canaries` the names of benchmarks by their
    canaries, which must not either. `threads` screen the rows in this process, or the
    workers of `cluster` if there is one. Raises `RequirementError` for a cluster that cannot be joined.
    """
    import polars as pl

    draft.rewind(0)
    rows = pl.concat([part.scan().select(COLUMNS) for part in parts])
    text = pl.concat_str("question", "response", separator="\n")
    texts = rows.select("language", id="sample_id", text=text, reasoning=chat_reasoning(pl.col("response")))
    items = pl.DataFrame(
        {"id": [problem.id for problem in heldout], "text": [problem.question for problem in heldout]},
        schema={"id": pl.String, "text": pl.String},
    )
    known = _heldout_rows(rows, heldout)
    if canaries:
        known = pl.concat([rows_with_canary(texts, canaries), known], how="diagonal")
    dropped = screen_rows(texts, items, recipe.screening, threads, known, cluster)
    if warning := loss_warning(dropped, texts):
        draft.note(warning)
    places, surplus = _places(rows, dropped["row"].to_numpy(), recipe)
    dropped = pl.concat([dropped, surplus], how="diagonal").sort("row")
    draft.log(1, STEPS, {"rows": len(places), "dropped": dropped.height})
    buckets = _copy(parts, places, dropped, draft)
    draft.log(2, STEPS, {"rows": len(places)})
    with ShardWriter(draft.path, SAMPLES) as writer:
        for bucket in buckets:
            writer.write(_read_bucket(bucket))
    draft.log(STEPS, STEPS, {"rows": writer.rows})
    return Counter(dict(dropped["reason"].value_counts().iter_rows()))


def order_keys(ids: "pl.Series", seed: int) -> Keys:
    """Returns a sort key for each id (16 hex digits): SplitMix64 of id and seed, the same on every machine."""
    import polars as pl

    salt = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8])
    key = ids.str.to_integer(base=16, dtype=pl.UInt64).to_numpy() ^ np.uint64(salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    return key ^ (key >> np.uint64(31))


def _heldout_rows(rows: "pl.LazyFrame", heldout: Sequence[Problem]) -> "pl.DataFrame":
    """Returns `row`, `against` and `reason` of the rows about a held-out problem, by its id or its exact question."""
    import polars as pl

    numbered = (
        rows.select(against=heldout_problem(heldout)).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    )
    about = numbered.filter(pl.col("against").is_not_null()).with_columns(reason=pl.lit("heldout"))
    return about.collect(engine="streaming")


def _places(rows: "pl.LazyFrame", dropped: Rows, recipe: MergeRecipe) -> tuple[Rows, "pl.DataFrame"]:
    """Returns the place of every row, -1 for those that are left out, and the table of rows beyond the mix."""
    import polars as pl

    known = rows.select("sample_id", domain=pl.col("domain").cast(pl.Enum(list(DOMAINS)))).collect(engine="streaming")
    order = np.argsort(order_keys(known["sample_id"], recipe.seed), kind="stable")
    sound = np.ones(known.height, dtype=np.bool_)
    sound[dropped] = False
    order = order[sound[order]]
    domains = known["domain"].to_physical().to_numpy()[order]
    beyond = [order[domains == DOMAINS.order(domain)][count:] for domain, count in recipe.rows.items()]
    surplus = np.concatenate([*beyond, np.empty(0, dtype=np.int64)])
    order = order[~np.isin(order, surplus)]
    places = np.full(known.height, -1, dtype=np.int64)
    places[order] = np.arange(len(order))
    return places, pl.DataFrame({"row": surplus}).with_columns(reason=pl.lit("beyond_the_mix"))


def _copy(parts: Sequence[Corpus], places: Rows, dropped: "pl.DataFrame", draft: Draft) -> list[Path]:
    """Reads all rows once and copies each to the dropped rows or to its bucket; returns the buckets in order."""
    import polars as pl

    wanted = -(-stored_bytes([table for part in parts for table in part.tables()]) // BUCKET_BYTES)
    count = min(max(wanted, 1), BUCKETS)
    height = max(1, -(-int(places.max(initial=-1) + 1) // count))
    paths = [draft.scratch / f"bucket-{number:05d}.arrow" for number in range(count)]
    files: dict[int, Any] = {}
    row, complete = 0, partial(_with_columns, _sparse_of(parts))
    with ExitStack() as open_files, ShardWriter(draft.path, DROPPED) as dropped_writer:
        dropped_writer.write(dropped_frame([]))
        for part in parts:
            for frame in map(complete, part.batches()):
                place = pl.Series("place", places[row : row + frame.height])
                found = dropped.filter(pl.col("row").is_between(row, row + frame.height - 1))
                dropped_writer.write(_with_text(found, frame, row))
                kept = frame.with_columns(place, bucket=place // height).filter(pl.col("place") >= 0)
                for (bucket,), piece in kept.partition_by("bucket", as_dict=True, include_key=False).items():
                    table = piece.to_arrow(compat_level=pl.CompatLevel.oldest())
                    if bucket not in files:
                        files[bucket] = open_files.enter_context(_stream(paths[bucket], table.schema))
                    files[bucket].write_table(table)
                row += frame.height
    return [paths[bucket] for bucket in sorted(files)]


def _sparse_of(parts: Sequence[Corpus]) -> tuple[str, ...]:
    """Returns the sparse columns that some part has; the merged corpus has them all."""
    present = {name for part in parts for name in part.scan().collect_schema()}
    return tuple(name for name in sparse(Sample) if name in present)


def _with_columns(names: Sequence[str], frame: "pl.DataFrame") -> "pl.DataFrame":
    """Returns `frame` with these columns last, null where it lacks them."""
    import polars as pl

    types = schema_of(Sample)
    lacking = [pl.lit(None, dtype=types[name]).alias(name) for name in names if name not in frame.columns]
    return frame.with_columns(lacking).select(pl.exclude(*names), *names) if names else frame


def _read_bucket(path: Path) -> "pl.DataFrame":
    """Returns the rows of a bucket, in order, and deletes its file."""
    import polars as pl
    import pyarrow as pa

    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
        whole = pl.from_arrow(stream.read_all())
    path.unlink()
    assert isinstance(whole, pl.DataFrame)
    return whole.sort("place").drop("place")


def _stream(path: Path, schema: Any) -> Any:
    import pyarrow as pa

    return pa.ipc.new_stream(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _with_text(found: "pl.DataFrame", frame: "pl.DataFrame", start: int) -> "pl.DataFrame":
    """Returns the dropped rows of a batch in the schema of `dropped_frame`."""
    import polars as pl

    rows = frame[(found["row"] - start).to_list()]
    text = rows.select(text=pl.concat_str("question", "response", separator="\n")).to_series()
    whole = found.with_columns(rows["sample_id"].alias("id"), text)
    return whole.select(dropped_frame([]).columns)
