"""Parts of a corpus become one: screened, mixed, put in order, written in shards; memory hardly grows with them.

    screen   one pass over the texts says which rows are held out, unreadable or repeated (`screening.rows`)
    place    of each domain so many rows as the recipe takes, in an order that the seed decides
    copy     one pass carries every row to the bucket of its place, or aside with its reason
    write    bucket by bucket into shards

What is kept of a row between the passes is some hundred bytes. A row's place comes from its id and the seed alone, so
that other rows, threads and the sizes of the parts cannot move rows past each other.
Not covered: where parts come from (`generation`), what is counted afterwards (`corpus`).
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
from r1_pipeline.data.screening.boilerplate import loss
from r1_pipeline.data.screening.dropped import DROPPED, dropped_frame
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
"""What is looked at before rows are copied."""
BUCKET_BYTES = 64 * 1024**2
"""Of rows that are put in order at once, while that makes no more files than `BUCKETS`."""
BUCKETS = 256
"""Files that are open at once, at most."""
STEPS = 3
"""That a merge reports: screened, copied, written."""


class MergeRecipe(Recipe):
    """How corpus parts become one corpus."""

    seed: int
    """Of the order of the rows."""
    screening: RowsRecipe
    """What does not enter."""
    rows: Mapping[Domain, int]
    """Rows of a domain, at most: the first in the order of the seed; a domain that is not named is taken whole."""


def merge_parts(
    parts: Sequence[Corpus],
    heldout: Sequence[Problem],
    recipe: MergeRecipe,
    threads: int,
    draft: Draft,
    cluster: Cluster | None = None,
) -> Counter[str]:
    """Writes the corpus that `parts` make, and what is dropped beside it; returns the reasons."""
    import polars as pl

    draft.rewind(0)
    rows = pl.concat([part.scan().select(COLUMNS) for part in parts])
    text = pl.concat_str("question", "response", separator="\n")
    asked = rows.select("language", id="sample_id", text=text, reasoning=chat_reasoning(pl.col("response")))
    items = pl.DataFrame(
        {"id": [problem.id for problem in heldout], "text": [problem.question for problem in heldout]},
        schema={"id": pl.String, "text": pl.String},
    )
    dropped = screen_rows(asked, items, recipe.screening, threads, _about(rows, heldout), cluster)
    if said := loss(dropped, asked):
        draft.note(said)
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
    """Where rows with these ids (16 hex digits) go: SplitMix64 of id and seed, the same everywhere."""
    import polars as pl

    salt = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8])
    key = ids.str.to_integer(base=16, dtype=pl.UInt64).to_numpy() ^ np.uint64(salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    return key ^ (key >> np.uint64(31))


def _about(rows: "pl.LazyFrame", heldout: Sequence[Problem]) -> "pl.DataFrame":
    """Rows about a held-out problem, by its id or its very question."""
    import polars as pl

    numbered = (
        rows.select(against=heldout_problem(heldout)).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    )
    about = numbered.filter(pl.col("against").is_not_null()).with_columns(reason=pl.lit("heldout"))
    return about.collect(engine="streaming")


def _places(rows: "pl.LazyFrame", dropped: Rows, recipe: MergeRecipe) -> tuple[Rows, "pl.DataFrame"]:
    """(place of every row, -1 for those that stay out; the rows beyond the mix)."""
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
    """Reads all rows once: each goes aside or to its bucket; returns the buckets in order."""
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
                there = pl.Series("place", places[row : row + frame.height])
                found = dropped.filter(pl.col("row").is_between(row, row + frame.height - 1))
                dropped_writer.write(_with_text(found, frame, row))
                kept = frame.with_columns(there, bucket=there // height).filter(pl.col("place") >= 0)
                for (bucket,), piece in kept.partition_by("bucket", as_dict=True, include_key=False).items():
                    table = piece.to_arrow(compat_level=pl.CompatLevel.oldest())
                    if bucket not in files:
                        files[bucket] = open_files.enter_context(_stream(paths[bucket], table.schema))
                    files[bucket].write_table(table)
                row += frame.height
    return [paths[bucket] for bucket in sorted(files)]


def _sparse_of(parts: Sequence[Corpus]) -> tuple[str, ...]:
    """The sparse columns that some part has: the merged corpus has them."""
    there = {name for part in parts for name in part.scan().collect_schema()}
    return tuple(name for name in sparse(Sample) if name in there)


def _with_columns(names: Sequence[str], frame: "pl.DataFrame") -> "pl.DataFrame":
    """`frame` with these columns last, null where it lacks them."""
    import polars as pl

    types = schema_of(Sample)
    lacking = [pl.lit(None, dtype=types[name]).alias(name) for name in names if name not in frame.columns]
    return frame.with_columns(lacking).select(pl.exclude(*names), *names) if names else frame


def _read_bucket(path: Path) -> "pl.DataFrame":
    """The rows of a bucket, in order; the file goes."""
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
    """The dropped rows of a batch as they are set aside."""
    import polars as pl

    rows = frame[(found["row"] - start).to_list()]
    text = rows.select(text=pl.concat_str("question", "response", separator="\n")).to_series()
    whole = found.with_columns(rows["sample_id"].alias("id"), text)
    return whole.select(dropped_frame([]).columns)
