"""A user's own file goes through the whole graph without a change of code, and every row has its source."""

import json
import re
from pathlib import Path

import pytest
from test_smoke_graph import materialization, r1

from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet, open_artifact
from r1_pipeline.artifacts.tables import read_records
from r1_pipeline.data.ingest.rows import DroppedRow, Place
from r1_pipeline.data.toy_problems import generate_problems
from r1_pipeline.profiles import load_profile

SOURCES = """
builtin = ["stem", "logic", "general", "preference"]

[[source]]
name = "my_sums"
path = "sums.jsonl"
mapping = "gsm8k"
licence = "CC-BY-4.0"
origin = "my own desk"
side = "split"
"""


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Returns sums that the base of `smoke` has seen in its web, in the format of GSM8K, and a broken line."""
    sums = [
        p
        for p in generate_problems(load_profile("smoke", 0).recipes["heldout_problems"].problems)
        if p.domain == "math"
    ]
    rows = [{"question": p.question, "answer": f"One step, then the other.\n#### {p.answer}"} for p in sums]
    return [json.dumps(row, ensure_ascii=False) for row in rows if row["question"].isascii()] + ["{broken"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "sums.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "mine.toml").write_text(SOURCES, encoding="utf-8")
    home = folder / "home"
    ran = r1(home, "run", "--profile", "smoke", "--sources", str(folder / "mine.toml"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 rows dropped" in ran.stdout
    return home


@pytest.mark.slow
def test_rows_of_the_corpus_trace_to_the_users_file_and_line(home: Path, lines: list[str]) -> None:
    corpus = open_artifact(home / str(materialization(home, "sft_corpus")["r1/address"]))
    assert isinstance(corpus, Corpus)
    mine = [sample for sample in corpus.samples() if sample.domain == "math"]
    assert mine
    for sample in mine:
        place = Place.of(sample.source)
        assert (place.source, place.file, sample.licence) == ("my_sums", "sums.jsonl", "CC-BY-4.0")
        assert json.loads(lines[place.line - 1])["question"] == sample.question
    assert "code" not in {sample.domain for sample in corpus.samples()}


@pytest.mark.slow
def test_the_manifest_counts_what_was_taken_and_what_was_set_aside(home: Path, lines: list[str]) -> None:
    sets = [
        open_artifact(home / str(materialization(home, f"{side}_problems")["r1/address"]))
        for side in ("reasoning", "heldout")
    ]
    counted = [one.statistics["ingested"]["my_sums"] for one in sets]
    assert sum(one["rows"] for one in counted) == len(lines) - 1
    assert all(one["rows"] > 0 for one in counted)
    for one in sets:
        assert isinstance(one, ProblemSet)
        assert one.manifest.drops == {"unreadable": 1}
        assert one.left_out["code"] == "no source has problems of this domain"
        [dropped] = read_records(one.path / "logs/set_aside.parquet", DroppedRow)
        assert (dropped.where, dropped.reason) == (f"my_sums/sums.jsonl:{len(lines)}", "unreadable")


@pytest.mark.slow
def test_the_graph_shows_the_source_and_a_second_run_re_does_nothing(home: Path) -> None:
    again = r1(home, "run", "--profile", "smoke", "--sources", str(home.parent / "mine.toml"))
    assert again.returncode == 0, again.stderr
    assert "0 computed" in again.stdout
    states = json.loads(
        r1(home, "status", "--profile", "smoke", "--sources", str(home.parent / "mine.toml"), "--json").stdout
    )
    assert {row["state"] for row in states} == {"fresh"}
    base = open_artifact(home / str(materialization(home, "base")["r1/address"]))
    assert isinstance(base, Checkpoint)


@pytest.mark.slow
def test_a_changed_line_makes_stale_what_was_made_from_it(home: Path, lines: list[str]) -> None:
    mine = home.parent / "sums.jsonl"
    before = mine.read_text(encoding="utf-8")
    mine.write_text(re.sub("#### [0-9]+", "#### 99", before, count=1), encoding="utf-8")
    (home / "sources.toml").write_text(SOURCES.replace("sums.jsonl", "../sums.jsonl"), encoding="utf-8")
    states = {row["asset"]: row for row in json.loads(r1(home, "status", "--profile", "smoke", "--json").stdout)}
    mine.write_text(before, encoding="utf-8")
    (home / "sources.toml").unlink()
    assert states["reasoning_problems"]["state"] == "stale"
    assert states["base"]["state"] == "fresh"
