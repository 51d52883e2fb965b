"""A file yields every row with its line, broken ones too; a file that cannot be read at all is refused by name."""

import gzip
import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from r1_pipeline.data.ingest import files
from r1_pipeline.data.ingest.files import Broken, Row, read_rows
from r1_pipeline.data.ingest.mapping import ProblemMapping, load_mapping
from r1_pipeline.data.ingest.rendering import RowError
from r1_pipeline.errors import SourceError
from r1_pipeline.records import Problem

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
    assert faults[5].startswith("not UTF-8 at byte 0; it looks like Latin-1 (Windows-1252), convert the file: iconv -f")
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
def test_a_line_of_400_mb_costs_no_more_memory_than_one_that_is_read(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"q": "' + b"x" * 400_000_000 + b'"}\n{"q": 2}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert list(read_rows(path)) == [Broken(1, f"the line is longer than {files.MAX_LINE} bytes"), Row(2, {"q": 2})]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_broken_rows_of_csv_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"q,a\n1,2,3\n\xff,2\n\n3,4\n")
    latin = "it looks like Latin-1 (Windows-1252), convert the file: iconv -f WINDOWS-1252 -t UTF-8"
    assert list(read_rows(tmp_path / "a.csv")) == [
        Broken(2, "3 fields, the header has 2"),
        Broken(3, f"not UTF-8 at byte 0; {latin}"),
        Row(5, {"q": "3", "a": "4"}),
    ]


def test_what_is_no_csv_is_named_and_the_next_row_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'q,a\n1,2\n"x"y,2\n3,"4\n5"6,7\n8,"9\n"\n10,"11\n12,13\n')
    assert list(read_rows(tmp_path / "a.csv")) == [
        Row(2, {"q": "1", "a": "2"}),
        Broken(3, "not CSV: ',' expected after '\"'"),
        Broken(4, "not CSV: ',' expected after '\"', in lines 4 to 5"),
        Row(6, {"q": "8", "a": "9\n"}),
        Broken(8, "not CSV: unexpected end of data, in lines 8 to 9"),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"q": 1, "a": {"b": 1, "c": 2, "b": 1}}', "not JSON: the key 'b' stands twice"),
        (b'{"q": "a lone \\ud83d half"}', "not text: half a surrogate pair, \\ud83d"),
        (b'{"q": {"\\uDC00": [1]}}', "not text: half a surrogate pair, \\udc00"),
        (b'{"q": -Infinity}', "not JSON: -Infinity is not a JSON value"),
    ],
)
def test_what_would_be_read_in_two_ways_is_not_read(tmp_path: Path, line: bytes, fault: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(line + b'\n{"q": "a whole \\ud83d\\ude00 \\u00e9", "b": {"q": 1}}\n')
    assert list(read_rows(tmp_path / "a.jsonl")) == [Broken(1, fault), Row(2, {"q": "a whole 😀 é", "b": {"q": 1}})]


def test_a_row_has_its_lines_as_they_stand(tmp_path: Path) -> None:
    lines = [b'{"n": 1.0,  "m": 5}\r\n', b'{"m":1e2, "q":"\\u00e9"}']
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines[0] + b"\n" + lines[1])
    assert [row.raw for row in read_rows(tmp_path / "a.jsonl") if isinstance(row, Row)] == lines
    header, rows = b'q,"a"\r\n', [b'"1",2\r\n', b'3,"4\n5"\n']
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + header + rows[0] + b"one, two, three\n" + rows[1])
    assert [row.raw for row in read_rows(tmp_path / "a.csv") if isinstance(row, Row)] == rows
    assert files.csv_header(tmp_path / "a.csv") == header


def test_parquet_values_are_what_they_say(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array([b"1", b"\xff", None]),
            "record": pa.array([{"b": [b"x"]}] * 3),
            "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "when": pa.array([timedelta(seconds=1)] * 3),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    second = timedelta(seconds=1)
    assert list(read_rows(tmp_path / "a.parquet")) == [
        Row(1, {"text": "1", "record": {"b": ["x"]}, "map": {"k": 1}, "when": second}),
        Row(2, {"text": b"\xff", "record": {"b": ["x"]}, "map": {}, "when": second}),
        Row(3, {"text": None, "record": {"b": ["x"]}, "map": None, "when": second}),
    ]


def test_a_binary_column_is_a_problem_s_text_and_what_is_no_text_is_a_fault_of_the_row(tmp_path: Path) -> None:
    answers = pa.array([b"1", b"\xff"])
    table = pa.table({"question": [b"How much is 0 + 1?"] * 2, "answer": answers, "took": [timedelta(1)] * 2})
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = (row.columns for row in read_rows(tmp_path / "a.parquet") if isinstance(row, Row))
    shipped = load_mapping("question_answer", tmp_path)
    made = shipped.record(first, "s/a.parquet:1", "MIT")
    assert isinstance(made, Problem) and (made.question, made.answer) == ("How much is 0 + 1?", "1")
    with pytest.raises(RowError, match="bytes that are not UTF-8"):
        shipped.record(second, "s/a.parquet:2", "MIT")
    for answer, fault in (("{{ 'about ' ~ answer }}", "not UTF-8 are no text"), ("{{ [took] | join }}", "a duration")):
        mapping = ProblemMapping(makes="problem", domain="math", language="en", question="Q", answer=answer)
        with pytest.raises(RowError, match=fault):
            mapping.record(second, "s/a.parquet:2", "MIT")


def test_a_parquet_row_that_cannot_be_held_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    maps = pa.array([[("k", 1)], [("k", 1), ("k", 2)], [("k", 3)]], pa.map_(pa.string(), pa.int64()))
    far = pa.array([1, 2, 2**60], pa.timestamp("ms"))
    pq.write_table(pa.table({"map": maps, "far": far}), tmp_path / "a.parquet")
    found = list(read_rows(tmp_path / "a.parquet"))
    assert [type(row) for row in found] == [Row, Broken, Broken]
    assert isinstance(found[1], Broken) and "a value cannot be read" in found[1].fault


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("Wieviel ist 2+2 für Müller?", "cp1252", "Latin-1 (Windows-1252), convert the file: iconv -f WINDOWS-1252"),
        ("小明有十二支铅笔", "gb18030", "Chinese (GB18030), convert the file: iconv -f GB18030"),
        ("次の計算をしなさい", "shift_jis", "Shift JIS, convert the file: iconv -f SHIFT_JIS"),
    ],
)
def test_another_encoding_is_guessed_and_its_remedy_told(tmp_path: Path, text: str, encoding: str, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"q,a\n" + f"{text},4\n".encode(encoding) + b"3,4\n")
    broken, row = read_rows(tmp_path / "a.csv")
    assert isinstance(broken, Broken) and said in broken.fault
    assert row == Row(3, {"q": "3", "a": "4"})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_wide_characters_are_refused_with_their_remedy(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"q": 1}'.encode(encoding))
    name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    with pytest.raises(SourceError, match=rf"a\.jsonl is {name}, not UTF-8; convert it: iconv -f {name} -t UTF-8"):
        list(read_rows(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"q,q\n1,2\n", "a.csv:1 names a column twice"),
        ("a.csv", b'q,"a"b\n1,2\n', r"a.csv:1 is not CSV"),
        ("a.csv", b"q,\xfc\n1,2\n", r"a.csv:1: the header: not UTF-8 at byte 2; it looks like Latin-1"),
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
