"""Tables on disk: Parquet with page checksums, whose bytes depend on the rows only.

A table that can be larger than memory is cut into shards `NAME-00000.parquet`, `NAME-00001.parquet` and so on; rows are
in order of shard, row group and row. Row groups and shards have a limit in bytes, so that a group fits in memory
for rows of any length. `records` defines the columns, `store` who writes where.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args

from r1_pipeline.records import Record, sparse

if TYPE_CHECKING:
    import polars as pl

R = TypeVar("R", bound=Record)

ROW_GROUP_BYTES = 8 * 1024**2
"""Size of a row group's values, all of which must be decompressed to read one row."""
SHARD_BYTES = 128 * 1024**2
"""Size of a shard's values; about a third of it on disk."""
READ_AHEAD = "2"
"""Row groups that Polars decompresses in advance; with its default, 8 or more, memory grows with the table."""
_JSON_COLUMNS = frozenset({"tests", "token_ids"})
"""Nested fields of records, stored as JSON text so that a table's schema never depends on its rows."""


class ShardWriter:
    """Writes frames of one schema, one after another, to the shards `NAME-*.parquet`; without frames, no shard."""

    def __init__(self, directory: Path, name: str) -> None:
        self.paths: list[Path] = []
        self.rows = 0
        self._directory, self._name = directory, name
        self._held: pl.DataFrame | None = None
        self._bytes = 0
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._held is not None and (self._held.height or not self.paths):
            self._write_group(self._held)
        self._close()

    def write(self, frame: "pl.DataFrame") -> None:
        """Appends rows; an incomplete row group waits for more."""
        import polars as pl

        self._held = frame if self._held is None else pl.concat([self._held, frame])
        self.rows += frame.height
        end = (self._bytes + row_bytes(self._held).cum_sum()) // ROW_GROUP_BYTES
        *whole, rest = self._held.with_columns(_end=end).partition_by("_end", maintain_order=True) or [self._held]
        for group in whole:
            self._write_group(group.drop("_end"))
        self._held = rest.drop("_end", strict=False)

    def _write_group(self, group: "pl.DataFrame") -> None:
        import pyarrow.parquet as pq

        before = self._bytes // SHARD_BYTES
        table = group.rechunk().to_arrow()
        if self._file is None:
            path = self._directory / f"{self._name}-{len(self.paths):05d}.parquet"
            self._file = pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True)
            self.paths.append(path)
        self._file.write_table(table, row_group_size=max(group.height, 1))
        self._bytes += int(row_bytes(group).sum())
        if self._bytes // SHARD_BYTES > before:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def write_shards(directory: Path, name: str, frames: Iterable["pl.DataFrame"]) -> int:
    """Writes frames of one schema, one after another, as shards; returns the number of rows."""
    with ShardWriter(directory, name) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.rows


def row_bytes(frame: "pl.DataFrame") -> "pl.Series":
    """Estimates the size of each row's values, in bytes."""
    import polars as pl
    import polars.selectors as cs

    wide = [*cs.expand_selector(frame, cs.string()), *cs.expand_selector(frame, cs.list())]
    sizes = [
        pl.col(name).str.len_bytes() if frame.schema[name] == pl.String else pl.col(name).list.len() * 8
        for name in wide
    ]
    fixed = pl.repeat(8 * frame.width, pl.len(), dtype=pl.Int64)
    return frame.select(bytes=pl.sum_horizontal(fixed, *sizes)).to_series()


def write_table(path: Path, frame: "pl.DataFrame", compression: str = "zstd") -> None:
    """Writes a table that fits in memory to one file."""
    import pyarrow.parquet as pq

    group = max(1, round(frame.height * ROW_GROUP_BYTES / max(int(row_bytes(frame).sum()), ROW_GROUP_BYTES)))
    pq.write_table(frame.to_arrow(), path, compression=compression, write_page_checksum=True, row_group_size=group)


def read_table(path: Path) -> "pl.DataFrame":
    """Reads a whole file; raises `OSError` for a page with a wrong checksum."""
    import polars as pl
    import pyarrow.parquet as pq

    frame = pl.from_arrow(pq.read_table(path, page_checksum_verification=True))
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_groups(paths: Sequence[Path], columns: Sequence[str] | None = None) -> Iterator["pl.DataFrame"]:
    """Yields the row groups of several files of one schema, in order, with checksums verified as in `read_table`."""
    import polars as pl
    import pyarrow.parquet as pq

    for path in paths:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                frame = pl.from_arrow(file.read_row_group(group, columns))
                assert isinstance(frame, pl.DataFrame)
                yield frame


def scan_tables(paths: Sequence[Path]) -> "pl.LazyFrame":
    """Scans the rows of several files of one schema lazily; checksums of pages are not verified."""
    import polars as pl

    os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_SIZE", READ_AHEAD)
    return pl.scan_parquet(list(paths))


def rows_at(rows: "pl.LazyFrame", numbers: Collection[int]) -> "pl.LazyFrame":
    """Selects the rows with these numbers, in order."""
    import polars as pl

    return rows.with_row_index("row").filter(pl.col("row").is_in(numbers)).drop("row")


def stored_bytes(paths: Sequence[Path]) -> int:
    """Returns the size of all pages, decompressed."""
    import pyarrow.parquet as pq

    files = [pq.read_metadata(path) for path in paths]
    return sum(file.row_group(group).total_byte_size for file in files for group in range(file.num_row_groups))


def write_records(path: Path, records: Sequence[Record], kind: type[Record]) -> None:
    """Writes records as a table, one per row."""
    write_table(path, frame_of(records, kind))


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Reads records that `write_records` wrote."""
    return records_of(read_table(path), kind)


def frame_of(records: Sequence[Record], kind: type[Record]) -> "pl.DataFrame":
    """Converts records to rows; the schema depends on `kind` only, apart from `Sparse` columns that no row has."""
    import polars as pl

    rows = [_flat(record) for record in records]
    said = set[str]().union(*rows)
    absent = set(sparse(kind)) - said
    return pl.DataFrame(rows, schema={name: type_ for name, type_ in schema_of(kind).items() if name not in absent})


def records_of(frame: "pl.DataFrame", kind: type[R]) -> list[R]:
    """Converts rows of `frame_of`, or some of them, to records."""
    return [kind.model_validate(_unflat(row)) for row in frame.iter_rows(named=True)]


def schema_of(kind: type[Record]) -> "dict[str, type[pl.DataType]]":
    """Returns the columns of a table of these records."""
    import polars as pl

    numbers: dict[Any, type[pl.DataType]] = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean}

    def of(annotation: Any) -> type[pl.DataType]:
        found = [numbers[part] for part in (annotation, *get_args(annotation)) if part in numbers]
        return found[0] if found else pl.String

    return {
        name: pl.String if name in _JSON_COLUMNS else of(field.annotation) for name, field in kind.model_fields.items()
    }


def _flat(record: Record) -> dict[str, Any]:
    row = record.model_dump(mode="json")
    return {k: json.dumps(v, ensure_ascii=False) if k in _JSON_COLUMNS else v for k, v in row.items()}


def _unflat(row: dict[str, Any]) -> dict[str, Any]:
    return {k: json.loads(v) if k in _JSON_COLUMNS else v for k, v in row.items()}
