"""Laws of `r1 grade` on real files: order, interruption at any byte, output of other work, and messages."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from r1_pipeline.cli import grade
from r1_pipeline.cli.grade import Tally, grade_file
from r1_pipeline.errors import ArtifactError

COUNT = 1500


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from dagster_defs.cli import main; main()", "grade", *arguments]


def run(source: Path, out: Path) -> tuple[Tally, str]:
    said = StringIO()
    tally = grade_file(source, out, 2, Console(file=said))
    return tally, said.getvalue()


def note_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.made-by.json")


def verdicts(path: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a file in which every third answer is wrong, lines 2 and 7 are bad, and ids are not in order."""
    path = tmp_path_factory.mktemp("grade") / "answers.jsonl"
    rows = [
        {"id": f"q{n * 7 % COUNT}", "domain": "math", "answer": f"\\boxed{{{n + (n % 3 == 0)}}}", "reference": str(n)}
        for n in range(COUNT)
    ]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join([lines[0], "not JSON", *lines[1:5], '{"id": 3}', *lines[5:]]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(answers: Path) -> Path:
    out = answers.with_name("whole.jsonl")
    tally, said = run(answers, out)
    assert "answers.jsonl, line 2: not JSON at character 0" in said and "line 7: domain: Field required" in said
    assert tally.bad == 2
    assert f"{COUNT:,} graded in" in str(tally) and str(tally).endswith("/s: correct 1,000, wrong 500")
    return out


def test_verdicts_have_the_documented_keys_in_input_order(whole: Path) -> None:
    rows = [json.loads(line) for line in whole.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [f"q{n * 7 % COUNT}" for n in range(COUNT)]
    assert list(rows[0]) == ["id", "outcome", "score", "extracted", "detail", "seconds"]
    assert rows[1] | {"seconds": 0, "detail": ""} == {
        "id": "q7", "outcome": "correct", "score": 1.0, "extracted": "1", "detail": "", "seconds": 0,
    }  # fmt: skip


def test_without_out_verdicts_go_to_standard_output_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"id": 1, "domain": "choice", "answer": "B", "reference": "(B)"}\n{}\n')
    done = subprocess.run(command(str(path)), capture_output=True, text=True, check=False, timeout=120)
    assert json.loads(done.stdout)["outcome"] == "correct"
    assert "1 graded" in done.stderr and "r1: 1 bad lines" in done.stderr
    assert done.returncode == 1


def test_a_file_is_read_whatever_its_name_form_and_mark(tmp_path: Path) -> None:
    rows = [{"id": n, "domain": "math", "answer": f"\\boxed{{{n}}}", "reference": "1"} for n in (1, 2)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "answers").write_bytes(b"\xef\xbb\xbf" + lines)
    (tmp_path / "answers.jsonl.gz").write_bytes(gzip.compress(lines))
    tests = pl.Series("tests", [[], []], dtype=pl.List(pl.Struct({"kind": pl.String})))
    pl.DataFrame(rows).with_columns(tests, language=None).write_parquet(tmp_path / "answers.parquet")
    for name in ("answers", "answers.jsonl.gz", "answers.parquet"):
        tally, said = run(tmp_path / name, tmp_path / f"{name}.out")
        assert (tally.outcomes["correct"], tally.outcomes["wrong"], tally.bad, said) == (1, 1, 0, "")


def test_a_file_in_another_encoding_is_refused_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "wide.jsonl"
    path.write_text('{"id": 1, "domain": "math", "answer": "1"}\n', encoding="utf-16")
    done = subprocess.run(command(str(path)), capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert "wide.jsonl is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("left", [0, 1, 150, 40_000])
def test_a_file_cut_off_anywhere_is_made_whole(left: int, whole: Path, answers: Path, tmp_path: Path) -> None:
    out, content = tmp_path / "out.jsonl", whole.read_bytes()
    out.write_bytes(content[:left])
    note_of(out).write_bytes(note_of(whole).read_bytes())
    tally, _ = run(answers, out)
    kept = content[:left].rpartition(b"\n")[0]
    assert out.read_bytes().startswith(kept)
    assert verdicts(out) == verdicts(whole)
    assert tally.before == content[:left].count(b"\n")
    assert (tally.outcomes["correct"], tally.outcomes["wrong"], tally.bad) == (1000, 500, 2)


def test_killed_and_started_again_it_gives_what_one_run_gives(whole: Path, answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    process = subprocess.Popen(command(str(answers), "--out", str(out), "--workers", "1"), stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out.exists() and out.stat().st_size):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run(answers, out)
    assert verdicts(out) == verdicts(whole)


def test_out_of_other_work_is_refused_and_left_alone(whole: Path, answers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": 1, "domain": "choice", "answer": "B", "reference": "(B)"}\n')
    before = whole.read_bytes()
    with pytest.raises(ArtifactError, match="was started with another file"):
        run(other, whole)
    with pytest.raises(ArtifactError, match="does not say how it was made"):
        run(answers, other)
    assert whole.read_bytes() == before and other.read_text().count("\n") == 1
    out = tmp_path / "out.jsonl"
    out.write_bytes(before)
    note_of(out).write_text(note_of(whole).read_text().replace("choice@3+lenient", "choice@0"))
    with pytest.raises(ArtifactError, match="was started with other verifiers"):
        run(answers, out)


def test_the_rule_that_finds_answers_is_chosen_and_is_part_of_what_out_was_made_by(tmp_path: Path) -> None:
    path, out = tmp_path / "one.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"id": 1, "domain": "math", "answer": "The volume is $120$.", "reference": "120"}\n')
    outcomes = {}
    for rule in ("strict", "lenient"):
        done = subprocess.run(
            command(str(path), "--extract", rule), capture_output=True, text=True, check=True, timeout=120
        )
        outcomes[rule] = json.loads(done.stdout)["outcome"]
    assert outcomes == {"strict": "wrong", "lenient": "correct"}
    grade_file(path, out, 1, Console(file=StringIO()), "lenient")
    assert json.loads(note_of(out).read_text())["verifiers"]["math"].split("+")[1] == "lenient"
    with pytest.raises(ArtifactError, match="was started with other verifiers"):
        grade_file(path, out, 1, Console(file=StringIO()), "strict")


def test_progress_goes_on_after_the_last_line_is_read(
    answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last verdicts of a file come long after its last line was read."""
    monkeypatch.setattr(grade, "QUIET_PERIOD", 0.0)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(answers.read_text(encoding="utf-8").splitlines(keepends=True)[8:12]))
    tally, said = run(few, tmp_path / "out.jsonl")
    assert tally.outcomes.total() == 4 and "100%: 4 graded" in said


def test_references_may_be_numbers_and_lists(tmp_path: Path) -> None:
    path, out = tmp_path / "some.jsonl", tmp_path / "out.jsonl"
    rows = [("5", 5), ("\\boxed{0.5}", 0.5), ("\\boxed{7, 5}", ["5", "7"]), ("5", ["5"]), (5, "5"), ("5", True)]
    path.write_text(
        "".join(
            json.dumps({"id": n, "domain": "math", "answer": answer, "reference": reference}) + "\n"
            for n, (answer, reference) in enumerate(rows)
        )
    )
    tally, said = run(path, out)
    assert [row["outcome"] for row in verdicts(out)] == ["correct"] * 5
    assert tally.bad == 1 and "line 6: reference: " in said
