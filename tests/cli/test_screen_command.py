"""Laws of `r1 screen` on users' files: every row is in exactly one of the two outputs, unchanged."""

import base64
import gzip
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from r1_pipeline.cli.screen import screen_file
from r1_pipeline.data.ingest.reserved import canaries
from r1_pipeline.errors import RecipeError, SourceError

LEAK = "A farmer has 17 sheep and buys 12 more at the market on Friday. How many sheep does he have in all?"
ROWS = [
    {"id": 1, "question": "Name a colour.", "answer": "Blue", "meta": {"tags": ["x"]}},
    {"id": 2, "question": f"Please solve: {LEAK}", "answer": "29", "meta": {"tags": []}},
    {"id": 3, "question": "name a  COLOUR", "answer": "blue", "meta": {"tags": ["y"]}},
]
LATIN = "it looks like Latin-1 (Windows-1252), convert the file: iconv -f WINDOWS-1252 -t UTF-8"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    return path


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    pl.DataFrame({"question": ["Something else?", LEAK], "answer": ["1", "29"]}).write_csv(path)
    return path


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_are_kept_as_they_were_or_dropped_with_proof(source: Path, benchmark: Path, tmp_path: Path) -> None:
    summary = screen_file(source, [benchmark], [], tmp_path / "out", threads=2)
    assert (summary["rows"], summary["kept"]) == (3, 1)
    assert summary["dropped"] == {"contaminated": 1, "duplicate": 1}
    assert lines(tmp_path / "out" / "kept.jsonl") == ROWS[:1]
    leak, repeat = lines(tmp_path / "out" / "dropped.jsonl")
    ngram = "a farmer has 17 sheep and buys 12 more at"
    proof = {"reason": "contaminated", "against": "test.csv#2 question", "ngram": ngram, "value": 1.0}
    assert leak == {"screen": proof, "row": ROWS[1]}
    assert repeat == {"screen": {"reason": "duplicate", "against": "1", "ngram": None, "value": 1.0}, "row": ROWS[2]}
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary


def test_a_row_with_a_canary_in_any_column_is_dropped(benchmark: Path, tmp_path: Path) -> None:
    (canary,) = canaries()
    rows = [
        *ROWS[:1],
        {"id": 4, "question": "Name a tree.", "answer": "Oak", "meta": {"note": f"canary GUID {canary}"}},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("not JSON\n" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = screen_file(path, [benchmark], ["question"], tmp_path / "out", threads=1)
    assert summary["dropped"] == {"unreadable": 1, "canary": 1}
    assert lines(tmp_path / "out" / "kept.jsonl") == rows[:1]
    proof = {"reason": "canary", "against": "gpqa_diamond", "ngram": None, "value": None}
    assert {"screen": proof, "row": rows[1]} in lines(tmp_path / "out" / "dropped.jsonl")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_kept_file_has_the_format_of_the_input(suffix: str, benchmark: Path, tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS).drop("meta").cast(pl.String)
    path = tmp_path / f"rows{suffix}"
    frame.write_parquet(path) if suffix == ".parquet" else frame.write_csv(path)
    screen_file(path, [benchmark], ["question"], tmp_path / "out", threads=1)
    kept = tmp_path / "out" / f"kept{suffix}"
    assert (pl.read_parquet(kept) if suffix == ".parquet" else pl.read_csv(kept, infer_schema=False)).equals(frame[:1])


def test_the_same_input_gives_the_same_bytes(source: Path, benchmark: Path, tmp_path: Path) -> None:
    for name, threads in (("a", 1), ("b", 2)):
        screen_file(source, [benchmark], [], tmp_path / name, threads)
    for file in ("kept.jsonl", "dropped.jsonl", "summary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["dropped.jsonl", "kept.jsonl", "summary.json"]


@pytest.mark.parametrize(
    "row",
    [
        b'{"question":"First row, which asks what one and one make?","meta":{"a":1},"n":1,"m":"a"}',
        b'{"question":"Second row, what do two and three make?","meta":{"b":2},"n":2.5,"m":5,"x":1}',
        b'{"x": null,  "n": 1.0, "question": "Third row: \\u00e9, 1e2 and caf\xc3\xa9?", "big": 12345678901234567890}',
        b'{"n": 1e2, "question": "Fourth row, whose number has an exponent", "list": [1, "a", {"b": []}], "id": "5"}\r',
    ],
)
def test_a_line_is_kept_byte_for_byte_whatever_the_others_hold(row: bytes, benchmark: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "out"
    first, last = b'{"question":"Something short","n":"text","meta":[],"x":{"y":1}}\n', json.dumps(ROWS[1]).encode()
    path.write_bytes(b"\xef\xbb\xbf" + first + b"\n" + row + b"\n" + last)
    screen_file(path, [benchmark], [], out, threads=1)
    assert (out / "kept.jsonl").read_bytes() == first + row + b"\n"
    assert b'"row":' + last + b"}\n" in (out / "dropped.jsonl").read_bytes()


def test_csv_rows_are_kept_byte_for_byte(tmp_path: Path) -> None:
    path, out = tmp_path / "rows.csv", tmp_path / "out"
    header, kept = b'"question",n\r\n', b'"One,\r\ntwo ""or"" three?",007\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + header + kept + b'one two or three,"7"\r\nwhat else is here?,8')
    screen_file(path, [], ["question"], out, threads=1)
    assert (out / "kept.csv").read_bytes() == header + kept + b"what else is here?,8\n"
    (dropped,) = lines(out / "dropped.jsonl")
    assert dropped["row"] == {"question": "one two or three", "n": "7"}


def test_parquet_is_kept_in_its_schema(tmp_path: Path) -> None:
    path, out = tmp_path / "rows.parquet", tmp_path / "out"
    table = pa.table(
        {
            "question": pa.array([b"How much is 0 + 1?", b"how much is 0+1", b"How much is 0 + 2?"]),
            "raw": pa.array([b"\xff\x00"] * 3),
            "took": pa.array([timedelta(seconds=90)] * 3, pa.duration("ms")),
            "n": pa.array([1, 2, 3], pa.int8()),
            "m": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int32())),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    ).replace_schema_metadata({"made": "by hand"})
    pq.write_table(table, path)
    summary = screen_file(path, [], [], out, threads=1)
    assert summary["dropped"] == {"duplicate": 1}
    kept = pq.read_table(out / "kept.parquet")
    assert kept.schema.equals(pq.read_schema(path), check_metadata=True)
    assert kept.to_pylist() == [table.to_pylist()[0], table.to_pylist()[2]]
    (dropped,) = lines(out / "dropped.jsonl")
    raw = base64.urlsafe_b64encode(b"\xff\x00").decode()
    row = {"question": "how much is 0+1", "raw": raw, "took": "PT1M30S", "n": 2, "m": {"k": 1}, "kind": "b"}
    assert dropped["row"] == row


def test_numbers_are_text_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": "How much is it?", "answer": answer} for answer in (5, 6, "5", 5.5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = screen_file(path, [], [], tmp_path / "out", threads=1)
    assert summary["dropped"] == {"duplicate": 1}
    assert lines(tmp_path / "out" / "kept.jsonl") == [rows[0], rows[1], rows[3]]


@pytest.mark.parametrize(
    ("name", "content", "kept", "said"),
    [
        (
            "a.jsonl",
            b'{"question":"Good row one"}\n{"question": broken\n{"question":"Another good row"}\n',
            b'{"question":"Good row one"}\n{"question":"Another good row"}\n',
            "a.jsonl, line 2: not JSON at character 13: Expecting value",
        ),
        (
            "a.jsonl",
            b'{"question":"Good row one"}\n{"question":"A row","n":NaN}\n',
            b'{"question":"Good row one"}\n',
            "a.jsonl, line 2: not JSON: NaN is not a JSON value",
        ),
        (
            "a.jsonl",
            b'{"question":"A lone \\ud83d half"}\n',
            b"",
            "a.jsonl, line 1: not text: half a surrogate pair, \\ud83d",
        ),
        (
            "a.ndjson",
            b'{"question":"Which counts?","answer":"1","answer":"2"}\n{"question":"This"}',
            b'{"question":"This"}\n',
            "a.ndjson, line 1: not JSON: the key 'answer' stands twice",
        ),
        (
            "a.csv",
            b"question,answer\nWieviel ist 2+2 f\xfcr M\xfcller?,4\nWhat is 3+3?,6\n",
            b"question,answer\nWhat is 3+3?,6\n",
            f"a.csv, line 2: not UTF-8 at byte 17; {LATIN}",
        ),
    ],
)
def test_what_cannot_be_read_is_named_and_set_aside_and_the_rest_goes_on(
    name: str, content: bytes, kept: bytes, said: str, tmp_path: Path
) -> None:
    path, out, told = tmp_path / name, tmp_path / "out", list[str]()
    path.write_bytes(content)
    summary = screen_file(path, [], [], out, 1, told.append)
    assert told == [said]
    assert (out / f"kept{path.suffix}").read_bytes() == kept
    assert summary["unreadable"] == {name: 1} and summary["dropped"] == {"unreadable": 1}
    (dropped,) = lines(out / "dropped.jsonl")
    screen = dropped["screen"]
    assert isinstance(screen, dict) and f"{name}, line {screen['line']}: {screen['detail']}" == said


def test_rows_of_a_benchmark_that_cannot_be_read_are_named_too(source: Path, tmp_path: Path) -> None:
    told: list[str] = []
    against = tmp_path / "test.jsonl"
    against.write_text("{\n" * 30 + json.dumps({"question": LEAK}))
    summary = screen_file(source, [against], [], tmp_path / "out", 1, told.append)
    assert summary["unreadable"] == {"test.jsonl": 30} and summary["dropped"] == {"contaminated": 1, "duplicate": 1}
    assert told[0].startswith("test.jsonl, line 1: not JSON")
    assert told[20] == "test.jsonl: 10 more rows are unreadable"
    assert told[21].startswith("warning: 2 of 3 rows are dropped")
    against.write_text("{\n")
    with pytest.raises(RecipeError, match=r"test\.jsonl has no readable row"):
        screen_file(source, [against], [], tmp_path / "other", 1, told.append)


def test_the_exit_code_says_that_rows_were_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "Good row"}\n{"question":\n')
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", "screen", str(path), "--out"]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, check=False, timeout=120)
    assert json.loads(done.stdout)["kept"] == 1
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("a.jsonl, line 2: not JSON")
    path.write_text('{"question": "Good row"}\n')
    done = subprocess.run([*command, str(tmp_path / "new")], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_set_that_loses_most_of_its_rows_says_so(tmp_path: Path) -> None:
    path, told = tmp_path / "a.jsonl", list[str]()
    tour = "Plan a walk through the old town that starts at the station and ends at the harbour before noon on"
    path.write_text("".join(json.dumps({"text": f"{tour} {day}"}) + "\n" for day in ("Monday", "Friday", "Sunday")))
    summary = screen_file(path, [], [], tmp_path / "out", 1, told.append)
    assert told == [f"warning: {summary['lost']}"]
    assert summary["lost"].startswith(
        "2 of 3 rows are dropped, 2 of them as near_duplicate; most of these share the words: plan a walk through"
    )


def test_what_cannot_be_screened_says_so_in_one_line(source: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    other = tmp_path / "other.txt"
    other.write_text("x")
    nameless = tmp_path / "nameless.jsonl"
    nameless.write_text('{"colour": "red", "text": ["a"]}\n')
    for path, words in ((empty, "has no rows"), (other, "valid: .jsonl"), (nameless, r"\(colour, text\).*--columns")):
        with pytest.raises(RecipeError, match=words):
            screen_file(path, [], [], tmp_path / "new", threads=1)
    with pytest.raises(RecipeError, match="no text column verse; the columns are id, question, answer, meta"):
        screen_file(source, [], ["verse"], tmp_path / "new", threads=1)
    with pytest.raises(RecipeError, match="not empty"):
        screen_file(source, [], [], tmp_path, threads=1)
    wide = tmp_path / "wide.csv"
    wide.write_text("question\nWhat?\n", encoding="utf-16")
    with pytest.raises(SourceError, match=r"wide\.csv is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8"):
        screen_file(wide, [], [], tmp_path / "new", threads=1)
