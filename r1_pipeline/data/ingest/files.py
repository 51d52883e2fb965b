"""This module reads the rows of JSON lines, CSV and Parquet files, plain or compressed (`.gz`, `.zst`), with their
lines.

It reads all files of users: sources, `r1 screen` and `r1 grade` take the same rows. A row that cannot be read becomes a
`Broken` with its line, and reading continues behind it; a file that cannot be read raises `SourceError`. Lines are
counted from 1 as an editor counts them (CSV: the line where the row begins, the header being line 1; Parquet: rows).

    text      UTF-8, with or without a byte-order mark, with either line ending; half a surrogate pair is not text
    JSON      NaN and infinities are not values; an object with a duplicate key is ambiguous and not read
    CSV       has a header with distinct column names; every value is text
    Parquet   bytes that are UTF-8 are text; other bytes and durations cannot be printed; a map is an object

Memory holds one line, or one batch of Parquet. Not covered: the meaning of the columns (`mapping`), encodings
(`encoding`).
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from r1_pipeline.data.ingest.encoding import looks_like, wide_encoding
from r1_pipeline.errors import SourceError

MAX_LINE = 64 * 1024**2
"""The maximum number of bytes of a line, and of characters of a CSV field."""
_BATCH = 1024
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """A row as it was read, its columns by name, with its line."""

    line: int
    columns: dict[str, Any]
    raw: bytes = field(default=b"", compare=False, repr=False)
    """The line, or the lines of a CSV row, as they are in the file; empty for Parquet."""


@dataclass(frozen=True)
class Broken:
    """A line that cannot be read, with the reason."""

    line: int
    fault: str


def read_rows(path: Path) -> Iterator[Row | Broken]:
    """Yields every row of `path`, in order.

    Raises `SourceError` for a file that cannot be read, is cut off or has another format.
    """
    reader_of(format_of(path), path)
    try:
        with path.open("rb") as file:
            yield from rows_of(file, path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}; replace it") from error


def rows_of(file: BinaryIO, path: Path, otherwise: str = "") -> Iterator[Row | Broken]:
    """Yields every row of the open `file` whose path is `path`; `otherwise` is the format where its name has none.

    Raises `SourceError` like `read_rows`.
    """
    form = format_of(path)
    reader = reader_of(form if form in READERS else otherwise, path)
    try:
        yield from reader(file, path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}; replace it") from error


def format_of(path: Path) -> str:
    """Returns the format of a file by its name: `.jsonl` for `train.jsonl.gz`."""
    name = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
    return name.suffix.lower()


def csv_header(path: Path) -> bytes:
    """Returns the header of a CSV file as it is in the file."""
    with path.open("rb") as file:
        text = _CsvText(_lines(file, path))
        next(csv.reader(text, strict=True), None)
        return text.taken()


def reader_of(form: str, path: Path) -> "Reader":
    """Returns the reader of a format; raises `SourceError` with the valid formats for any other."""
    if form not in READERS:
        raise SourceError(f"{path} is none of {', '.join(READERS)} (all but Parquet also .gz or .zst); convert it")
    return READERS[form]


def _json_lines(file: BinaryIO, path: Path) -> Iterator[Row | Broken]:
    for number, line in _lines(file, path):
        if line is None:
            yield Broken(number, f"the line is longer than {MAX_LINE} bytes")
        elif line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row | Broken:
    try:
        value = json.loads(line.decode("utf-8").strip(), parse_constant=_refuse, object_pairs_hook=_object)
        if (b"\\ud" in line or b"\\uD" in line) and (half := _SURROGATE.search(json.dumps(value, ensure_ascii=False))):
            return Broken(number, f"not text: half a surrogate pair, \\u{ord(half[0]):x}")
    except UnicodeDecodeError as error:
        return Broken(number, _not_utf8(error))
    except json.JSONDecodeError as error:
        return Broken(number, f"not JSON at character {error.pos}: {error.msg}")
    except (ValueError, RecursionError) as error:
        return Broken(number, f"not JSON: {error}")
    return Row(number, value, line) if isinstance(value, dict) else Broken(number, "not a JSON object")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return value


def _csv(file: BinaryIO, path: Path) -> Iterator[Row | Broken]:
    csv.field_size_limit(MAX_LINE)
    text = _CsvText(_lines(file, path))
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise SourceError(f"{path}:1 is not CSV: {error}; correct the header") from error
    if text.faults:
        raise SourceError(f"{path}:1: the header: {next(iter(text.faults.values()))}")
    if len(set(header)) < len(header):
        raise SourceError(f"{path}:1 names a column twice; rename one of {', '.join(header)}")
    text.taken()
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader)
            fault = f"{len(fields)} fields, the header has {len(header)}" if len(fields) != len(header) else ""
        except StopIteration:
            return
        except csv.Error as error:
            fields, fault = [""], f"not CSV: {error}"
        if reader.line_num > first and fault:
            fault += f", in lines {first} to {reader.line_num}"
        fault = next((text.faults.pop(n) for n in range(first, reader.line_num + 1) if n in text.faults), fault)
        raw = text.taken()
        if fields:
            yield Broken(first, fault) if fault else Row(first, dict(zip(header, fields, strict=True)), raw)


class _CsvText:
    """An iterator of lines for the CSV reader; a line that is not text reads as a placeholder, with its reason in
    `faults`."""

    def __init__(self, lines: Iterator[tuple[int, bytes | None]]) -> None:
        self.faults: dict[int, str] = {}
        self._lines = lines
        self._taken: list[bytes] = []

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            if line is None:
                self.faults[number] = f"the line is longer than {MAX_LINE} bytes"
                yield "?\n"
                continue
            self._taken.append(line)
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                self.faults[number] = _not_utf8(error)
                yield "?\n"

    def taken(self) -> bytes:
        """Returns the lines since the last call, as they are in the file."""
        taken, self._taken = b"".join(self._taken), []
        return taken


def _not_utf8(error: UnicodeDecodeError) -> str:
    label, name = looks_like(error.object)
    return f"not UTF-8 at byte {error.start}; it looks like {label}, convert the file: iconv -f {name} -t UTF-8"


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yields each number and line with its ending; None in place of a line that is too long."""
    import pyarrow as pa

    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with pa.input_stream(file, compression=compression) as stream:
        text = io.BufferedReader(stream)
        if name := wide_encoding(text.peek(4)[:4]):
            raise SourceError(f"{path} is {name}, not UTF-8; convert it: iconv -f {name} -t UTF-8")
        if text.peek(3)[:3] == _BOM:
            text.read(3)
        number = 0
        while line := text.readline(MAX_LINE + 1):
            number += 1
            if len(line) <= MAX_LINE:
                yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = text.readline(MAX_LINE)
            yield number, None


def _parquet(file: BinaryIO, path: Path) -> Iterator[Row | Broken]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as table:
            names = table.schema_arrow.names
            if len(set(names)) < len(names):
                raise SourceError(f"{path} names a column twice; rename one of {', '.join(names)}")
            rows = (row for batch in table.iter_batches(_BATCH) for row in _python_rows(batch))
            for number, row in enumerate(rows, 1):
                yield Broken(number, row) if isinstance(row, str) else Row(number, _careful(row))
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path} is not Parquet: {error}; replace it") from error


def _python_rows(batch: Any) -> Iterable[dict[str, Any] | str]:
    """Returns the rows of a batch; a row with a value that Python cannot represent is replaced by the reason."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="strict")
    except (ValueError, OverflowError, KeyError) as error:
        if len(batch) == 1:
            return [f"a value cannot be read: {error}"]
        return [row for i in range(len(batch)) for row in _python_rows(batch.slice(i, 1))]
    return rows


class NoText(bytes):
    """Bytes that are not UTF-8 and cannot be printed by mistake."""

    def __str__(self) -> NoReturn:
        raise ValueError("bytes that are not UTF-8 are no text")


class Duration(timedelta):
    """A duration, which has many forms as text and cannot be printed by mistake."""

    def __str__(self) -> NoReturn:
        raise ValueError("a duration has no one form as text; convert it to a number or a text")


def _careful(value: Any) -> Any:
    """Returns `value` with text in place of bytes that are UTF-8; bytes and durations become types that refuse to be
    printed."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return NoText(value)
    if isinstance(value, timedelta):
        return Duration(value.days, value.seconds, value.microseconds)
    if isinstance(value, dict):
        return {name: _careful(part) for name, part in value.items()}
    return [_careful(part) for part in value] if isinstance(value, list) else value


Reader = Callable[[BinaryIO, Path], Iterator[Row | Broken]]
READERS: dict[str, Reader] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
