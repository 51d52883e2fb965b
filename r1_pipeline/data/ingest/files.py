"""Rows of files: JSON lines, CSV and Parquet, plain or compressed (`.gz`, `.zst`), with the line that each stands on.

A row that cannot be read becomes a `Broken` with its line and the rows behind it are read on; a file that cannot be
read raises `SourceError`. Text is UTF-8, with or without a byte-order mark, with either line ending; NaN and infinities
are not JSON. Lines are counted from 1 as an editor counts them (CSV: where the row begins, its header being line 1;
Parquet: rows). Memory holds one line, or one batch of Parquet. Not covered: what the columns mean (`mapping`).
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from r1_pipeline.errors import SourceError

MAX_LINE = 16 * 1024**2
"""Bytes of a line, and characters of a CSV field, at most."""
_BATCH = 1024
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """What a line says: column -> value."""

    line: int
    columns: dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """A line that cannot be read, and why."""

    line: int
    fault: str


def read_rows(path: Path) -> Iterator[Row | Broken]:
    """Every row of `path`, in order. Raises `SourceError` for a file that is no such file, or is cut off."""
    reader = READERS.get(format_of(path))
    if reader is None:
        raise SourceError(f"{path} is none of {', '.join(READERS)} (each also .gz or .zst, but Parquet); convert it")
    try:
        yield from reader(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}; replace it") from error


def format_of(path: Path) -> str:
    """`.jsonl` for `train.jsonl.gz`."""
    name = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
    return name.suffix.lower()


def _json_lines(path: Path) -> Iterator[Row | Broken]:
    for number, line in _lines(path):
        if line is None:
            yield Broken(number, f"the line is longer than {MAX_LINE} bytes")
        elif line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row | Broken:
    try:
        value = json.loads(line.decode("utf-8").strip(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        return Broken(number, f"not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return Broken(number, f"not JSON at character {error.pos}: {error.msg}")
    except (ValueError, RecursionError) as error:
        return Broken(number, f"not JSON: {error}")
    return Row(number, value) if isinstance(value, dict) else Broken(number, "not a JSON object")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _csv(path: Path) -> Iterator[Row | Broken]:
    faults: dict[int, str] = {}
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(_text_lines(path, faults), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise SourceError(f"{path}:1 names a column twice; rename one of {', '.join(header)}")
        end = reader.line_num
        for fields in reader:
            first, end = end + 1, reader.line_num
            fault = next((faults.pop(n) for n in range(first, end + 1) if n in faults), None)
            if fault is None and fields and len(fields) != len(header):
                fault = f"{len(fields)} fields, the header has {len(header)}"
            if fault or fields:
                yield Broken(first, fault) if fault else Row(first, dict(zip(header, fields, strict=True)))
    except csv.Error as error:
        raise SourceError(f"{path}:{reader.line_num} is not CSV: {error}; mend the line") from error


def _text_lines(path: Path, faults: dict[int, str]) -> Iterator[str]:
    """Lines for the CSV reader; one that is no text reads as an empty field and is noted in `faults`."""
    for number, line in _lines(path):
        if line is None:
            faults[number] = f"the line is longer than {MAX_LINE} bytes"
        else:
            try:
                yield line.decode("utf-8")
                continue
            except UnicodeDecodeError as error:
                faults[number] = f"not UTF-8 at byte {error.start}"
        yield "?\n"


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """(number, line) with its ending; None in the place of a line that is too long."""
    import pyarrow as pa

    with pa.input_stream(str(path)) as stream:
        file = io.BufferedReader(stream)
        if mark := _MARKS.get(file.peek(2)[:2]):
            raise SourceError(f"{path} is {mark}, not UTF-8; convert it")
        if file.peek(3)[:3] == _BOM:
            file.read(3)
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) <= MAX_LINE:
                yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, None


def _parquet(path: Path) -> Iterator[Row | Broken]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            number = 0
            for batch in file.iter_batches(_BATCH):
                for columns in batch.to_pylist():
                    number += 1
                    yield Row(number, columns)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path} is not Parquet: {error}; replace it") from error


READERS: dict[str, Callable[[Path], Iterator[Row | Broken]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
