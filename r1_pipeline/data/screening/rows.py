"""This module applies all screens to a table of any size; each dropped row has a reason and its evidence.

A sample of the rows tells what many of them share. One pass in batches of bounded size then finds flaws and held-out
text and keeps a sketch of each row; duplicates are then searched among the rows that have no fault of their own, so
that a duplicate pair never loses both. A row has one reason: held-out text first, then its flaw, then duplication.
Memory is about 0.25 kB a row plus the batches in progress.
Not covered: reading and writing tables, the meaning of the columns in a corpus.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from r1_pipeline.data.screening.boilerplate import NO_BOILERPLATE, Boilerplate, boilerplate_trigrams, sampled_rows
from r1_pipeline.data.screening.contamination import ContaminationRecipe, Index, build_index, contaminated
from r1_pipeline.data.screening.duplicates import DuplicatesRecipe, Sketches, duplicates, join_sketches, sketch
from r1_pipeline.data.screening.ngrams import tokenize
from r1_pipeline.data.screening.quality import QualityRecipe, flaws
from r1_pipeline.recipe import Recipe, installed_version
from r1_pipeline.settings.cluster import Cluster, ray_map
from r1_pipeline.settings.threads import in_order

if TYPE_CHECKING:
    import polars as pl

RowReason = Literal[
    "contaminated",
    "empty",
    "too_long",
    "mixed_language",
    "long_paragraph",
    "code_block",
    "duplicate",
    "near_duplicate",
]
ROW_REASONS: tuple[RowReason, ...] = get_args(RowReason)
BATCH_CHARACTERS = 2_000_000
"""The number of bytes of a batch; larger ones do not fit the processor's caches and are slower."""

TASK_ROWS = 4096
"""The number of rows that a worker of a cluster reads and screens at once."""


class RowsRecipe(Recipe):
    """The limits of all screens of rows."""

    contamination: ContaminationRecipe
    quality: QualityRecipe
    duplicates: DuplicatesRecipe


STANDARD_SCREENING = RowsRecipe(
    contamination=ContaminationRecipe(
        window=10, min_share=0.8, min_vocabulary=0.92, min_likeness=0.6, common=10, min_item=4
    ),
    quality=QualityRecipe(max_characters=150_000, min_language_share=0.9, max_paragraph=2000, code_blocks=False),
    duplicates=DuplicatesRecipe(
        permutations=128,
        bands=32,
        similarity=0.7,
        number_similarity=0.9,
        min_tokens=8,
        common_share=0.05,
        common_rows=16,
    ),
)
"""The standard screening: the paper's window, and limits set on real sets of mathematics and on R1's own traces (see
the docs)."""


class _Screened(NamedTuple):
    ids: "pl.Series"
    faults: "pl.DataFrame"
    sketches: Sketches


def screen_rows(
    rows: "pl.LazyFrame",
    references: "pl.DataFrame",
    recipe: RowsRecipe,
    threads: int,
    known: "pl.DataFrame | None" = None,
    cluster: Cluster | None = None,
) -> "pl.DataFrame":
    """Screens a table and returns the dropped rows, in order: `row`, `id`, `reason`, `against`, `ngram`, `value`.

    `rows` has `id`, `text`, `reasoning` and `language` (both may be null), `references` has `id` and `text`, `recipe`
    the limits. In the result `row` is the number of the row, from 0, `against` the item or the earlier row that proves
    the drop, `ngram` words that they share, `value` the share of the item that was found, the similarity, or what was
    measured. `known` has faults that others found (`row`, `reason`, `against`); they take precedence. With a `cluster`
    its workers screen the rows, otherwise `threads` threads of this process.

    Raises `RequirementError` for a cluster that cannot be joined.
    """
    import polars as pl

    common = _common(rows, recipe.duplicates)
    if cluster:
        seen = _seen_by_workers(rows, references, common, recipe, cluster)
    else:
        held = build_index(references, recipe.contamination)
        seen = list(
            in_order(lambda batch: _screen_batch(batch, held, common, recipe), _batches(rows), threads, ahead=threads)
        )
    if not seen:
        return _dropped([])
    ids = pl.concat([part.ids for part in seen])
    faults = _dropped([*(() if known is None else (known,)), *(part.faults for part in seen)])
    faults = faults.unique("row", keep="first", maintain_order=True)
    faults = faults.with_columns(id=ids.gather(faults["row"]))
    sound = np.ones(len(ids), dtype=np.bool_)
    sound[faults["row"].to_numpy()] = False
    sketches = join_sketches([part.sketches for part in seen])
    del seen
    repeats = duplicates(sketches, np.flatnonzero(sound), recipe.duplicates)
    repeats = repeats.with_columns(id=ids.gather(repeats["row"]), against=ids.gather(repeats["of"]))
    return _dropped([faults, repeats]).sort("row")


def screening_identity() -> dict[str, str]:
    """Returns the versions of the packages that can change what is dropped, for the fingerprint of a stage that
    screens."""
    return {"screening": "/".join(f"{package}-{installed_version(package)}" for package in ("polars", "rensa"))}


def _common(rows: "pl.LazyFrame", recipe: DuplicatesRecipe) -> Boilerplate:
    """Returns the triples that carry no weight, estimated from a sample of the rows."""
    import polars as pl

    if recipe.common_share >= 1:
        return NO_BOILERPLATE
    height = rows.select(pl.len()).collect(engine="streaming").item()
    sample = pl.Series(sampled_rows(height)).implode()
    texts = rows.with_row_index("place").filter(pl.col("place").cast(pl.Int64).is_in(sample)).drop("place")
    return boilerplate_trigrams(
        (batch["text"] for batch in _batches(texts)), height, recipe.common_share, recipe.common_rows
    )


def _seen_by_workers(
    rows: "pl.LazyFrame", references: "pl.DataFrame", common: Boilerplate, recipe: RowsRecipe, cluster: Cluster
) -> list[_Screened]:
    """Returns what workers of the cluster found, in order; each reads its rows itself."""
    import polars as pl

    def open_worker() -> Callable[[int], list[_Screened]]:
        held = build_index(references, recipe.contamination)
        return lambda start: [
            _screen_batch(batch, held, common, recipe) for batch in _batches(rows.slice(start, TASK_ROWS), start)
        ]

    height = rows.select(pl.len()).collect(engine="streaming").item()
    parts = dict(ray_map(range(0, height, TASK_ROWS), open_worker, cluster))
    return [seen for task in range(len(parts)) for seen in parts[task]]


def _screen_batch(batch: "pl.DataFrame", held: Index, common: Boilerplate, recipe: RowsRecipe) -> _Screened:
    """Returns the faults and sketches of a batch, which has `row` in addition to the columns of `screen_rows`."""
    import polars as pl

    tokens = tokenize(batch["text"])
    found = contaminated(batch["text"], tokens, held)
    found = found.with_columns(row=batch["row"].gather(found["row"]), reason=pl.lit("contaminated"))
    faults = _dropped([found, flaws(batch, recipe.quality)]).unique("row", keep="first", maintain_order=True)
    faults = faults.with_columns(id=batch["id"].gather(faults["row"] - batch["row"][0]))
    return _Screened(batch["id"], faults, sketch(tokens, common, recipe.duplicates))


def _batches(rows: "pl.LazyFrame", start: int = 0) -> Iterator["pl.DataFrame"]:
    """Yields pieces of at most `BATCH_CHARACTERS` bytes, or of one row, numbered from `start`."""
    import polars as pl

    for frame in rows.select("id", pl.col("text").fill_null(""), "reasoning", "language").collect_batches(
        maintain_order=True
    ):
        numbered = frame.with_row_index("row", offset=start).with_columns(pl.col("row").cast(pl.Int64))
        start += frame.height
        piece = pl.col("text").str.len_bytes().cum_sum() // BATCH_CHARACTERS
        yield from numbered.with_columns(piece=piece).partition_by("piece", maintain_order=True, include_key=False)


def _dropped(frames: Sequence["pl.DataFrame"]) -> "pl.DataFrame":
    """Concatenates `frames`; columns that they lack are null."""
    import polars as pl

    schema = {"row": pl.Int64, "id": pl.String, "reason": pl.String, "against": pl.String, "ngram": pl.String}
    empty = pl.DataFrame(schema={**schema, "value": pl.Float64})
    return pl.concat([empty, *frames], how="diagonal").select(empty.columns)
