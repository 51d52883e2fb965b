"""`r1 screen` on files as users have them: every row is in exactly one of the two files, as it was."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from dagster_defs.screen import screen_file
from r1_pipeline.errors import RecipeError

LEAK = "A farmer has 17 sheep and buys 12 more at the market on Friday. How many sheep does he have in all?"
ROWS = [
    {"id": 1, "question": "Name a colour.", "answer": "Blue", "meta": {"tags": ["x"]}},
    {"id": 2, "question": f"Please solve: {LEAK}", "answer": "29", "meta": {"tags": []}},
    {"id": 3, "question": "name a  COLOUR", "answer": "blue", "meta": {"tags": ["y"]}},
]


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


def test_what_cannot_be_screened_says_so_in_one_line(source: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "a"}\n{"question":\n')
    other = tmp_path / "other.txt"
    other.write_text("x")
    nameless = tmp_path / "nameless.jsonl"
    nameless.write_text('{"colour": "red"}\n')
    for path, words in ((broken, "cannot be read"), (other, "valid: .jsonl"), (nameless, "--columns")):
        with pytest.raises(RecipeError, match=words):
            screen_file(path, [], [], tmp_path / "new", threads=1)
    with pytest.raises(RecipeError, match="no text column verse"):
        screen_file(source, [], ["verse"], tmp_path / "new", threads=1)
    with pytest.raises(RecipeError, match="not empty"):
        screen_file(source, [], [], tmp_path, threads=1)
