"""A file gives every row with its line, broken ones too; what cannot be read at all is refused by name."""

import gzip
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from r1_pipeline.data.ingest import files
from r1_pipeline.data.ingest.files import Broken, Row, read_rows
from r1_pipeline.errors import SourceError

TWO = [Row(1, {"q": "2 + 2?", "a": 4}), Row(2, {"q": "三?", "a": 3})]
LINES = "".join(json.dumps(row.columns, ensure_ascii=False) + "\n" for row in TWO).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.ndjson", LINES.rstrip(b"\n")),
        ("crlf.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("bom.jsonl", b"\xef\xbb\xbf" + LINES),
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("two.jsonl.gz", gzip.compress(LINES[:20]) + gzip.compress(LINES[20:])),
        ("a.jsonl.zst", pa.compress(LINES, "zstd", asbytes=True)),
    ],
)
def test_json_lines_read_alike_however_they_are_stored(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(read_rows(tmp_path / name)) == TWO


def test_parquet_reads_row_by_row(tmp_path: Path) -> None:
    pl.DataFrame([row.columns for row in TWO]).write_parquet(tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet")) == TWO


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_counts_lines_where_rows_begin(tmp_path: Path, ending: str) -> None:
    text = 'q,a\n"one\ntwo",1\nthree,3\n'.replace("\n", ending)
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert list(read_rows(tmp_path / "a.csv")) == [
        Row(2, {"q": f"one{ending}two", "a": "1"}),
        Row(4, {"q": "three", "a": "3"}),
    ]


def test_a_broken_line_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    lines = [b'{"q": NaN}', b"[1]", b"", b"\xff\xfe", b'{"q": "no end', b"[" * 100_000, b'{"q": 1}']
    (tmp_path / "a.jsonl").write_bytes(b'{"q": 0}\n' + b"\n".join(lines))
    found = list(read_rows(tmp_path / "a.jsonl"))
    faults = {row.line: row.fault for row in found if isinstance(row, Broken)}
    assert found[0] == Row(1, {"q": 0})
    assert found[-1] == Row(8, {"q": 1})
    assert faults[2] == "not JSON: NaN is not a JSON value"
    assert faults[3] == "not a JSON object"
    assert faults[5] == "not UTF-8 at byte 0"
    assert faults[6] == "not JSON at character 6: Unterminated string starting at"
    assert sorted(faults) == [2, 3, 5, 6, 7]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 30)
    (tmp_path / "a.jsonl").write_bytes(b'{"q": 1}\n{"q": "' + b"x" * 100 + b'"}\n{"q": 3}\n{"q": "' + b"x" * 100)
    assert list(read_rows(tmp_path / "a.jsonl")) == [
        Row(1, {"q": 1}),
        Broken(2, "the line is longer than 30 bytes"),
        Row(3, {"q": 3}),
        Broken(4, "the line is longer than 30 bytes"),
    ]


@pytest.mark.slow
def test_a_line_of_100_mb_costs_no_more_memory_than_one_that_is_read(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"q": "' + b"x" * 100_000_000 + b'"}\n{"q": 2}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert list(read_rows(path)) == [Broken(1, f"the line is longer than {files.MAX_LINE} bytes"), Row(2, {"q": 2})]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 90_000


def test_broken_rows_of_csv_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"q,a\n1,2,3\n\xff,2\n\n3,4\n")
    assert list(read_rows(tmp_path / "a.csv")) == [
        Broken(2, "3 fields, the header has 2"),
        Broken(3, "not UTF-8 at byte 0"),
        Row(5, {"q": "3", "a": "4"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"q,q\n1,2\n", "a.csv:1 names a column twice"),
        ("a.csv", b'q,a\n1,2\n"x"y,2\n', r"a.csv:3 is not CSV"),
        ("a.jsonl", "{}".encode("utf-16"), "a.jsonl is UTF-16, not UTF-8"),
        ("a.jsonl.gz", gzip.compress(LINES * 100)[:-12], "a.jsonl.gz cannot be read: Truncated"),
        ("a.jsonl.gz", LINES, "a.jsonl.gz cannot be read"),
        ("a.parquet", b"PAR1 no", "a.parquet is not Parquet"),
        ("a.txt", b"", r"a.txt is none of .jsonl, .ndjson, .csv, .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(read_rows(tmp_path / name))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.jsonl"):
        list(read_rows(tmp_path / "gone.jsonl"))
