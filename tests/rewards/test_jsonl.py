"""Laws of grading JSON lines: the keys that are read, the order of the verdicts, and the limits of reading ahead."""

import io
import json
import time
from pathlib import Path

import pytest

from r1_pipeline.data.ingest import files
from r1_pipeline.data.ingest.files import rows_of
from r1_pipeline.errors import GraderError
from r1_pipeline.records import Outcome
from r1_pipeline.rewards.jsonl import BadLine, Graded, Line, grade_lines, parse, read_lines
from r1_pipeline.rewards.verifier import Grader, verdict


class Slow:
    """Judges `correct` if the final part is the reference; the longer the answer, the sooner the verdict."""

    name, version = "slow", "1"

    def judge(self, problem, final):
        time.sleep(0.02 / len(final))
        return verdict(self, Outcome.CORRECT if final == problem.answer else Outcome.WRONG, "", final)

    def close(self):
        pass


class Broken(Slow):
    def judge(self, problem, final):
        raise GraderError("nothing to judge with; install it")


def lines_of(*rows):
    return [(0, parse(number, row)) for number, row in enumerate(rows, 1)]


def read(content, name="answers.jsonl"):
    return [line for _, line in read_lines(rows_of(io.BytesIO(content), Path(name)))]


def row(id_, answer, reference="aa", domain="math", **more):
    return {"id": id_, "domain": domain, "answer": answer, "reference": reference, **more}


def test_verdicts_come_in_the_order_of_the_lines_whoever_is_done_first():
    rows = [row(n, "a" * (1 + n % 7)) for n in range(100)]
    done = list(grade_lines(Grader({"math": Slow()}), lines_of(*rows), workers=8))
    assert [each.id for each in done] == list(range(100))
    assert [each.outcome is Outcome.CORRECT for each in done] == [n % 7 == 1 for n in range(100)]


def test_a_bad_line_says_its_number_and_stops_nothing():
    lines = [row("x", "aa"), b"{", {"id": 1}, row(2, "aa", domain="physics"), b'"\xff"', row("y", "a")]
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    done = list(grade_lines(Grader({"math": Slow()}), [(0, line) for line in read(content)], workers=2))
    assert [each.number for each in done if isinstance(each, BadLine)] == [2, 3, 4, 5]
    assert done[1].reason.startswith("not JSON at character 1")
    assert done[2].reason == "domain: Field required"
    assert done[4].reason.startswith("not UTF-8 at byte 1; it looks like Latin-1")
    assert [(each.id, each.outcome) for each in done if isinstance(each, Graded)] == [
        ("x", Outcome.CORRECT), ("y", Outcome.WRONG),
    ]  # fmt: skip


def test_blank_lines_count_but_say_nothing_other_keys_are_ignored_and_null_is_no_key():
    lines = ["", json.dumps(row(5, "a", model="m", language=None, tests=None)), " ", "{", json.dumps(row(6, "b"))]
    found = read("\n".join(lines).encode())
    assert [line.id if isinstance(line, Line) else line.number for line in found] == [5, 4, 6]


def test_an_endless_line_is_bad_and_the_next_one_good(monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE", 100)
    bad, good = read(b"x" * 1000 + b"\n" + json.dumps(row(6, "b")).encode())
    assert bad == BadLine(number=1, reason="the line is longer than 100 bytes")
    assert good.id == 6


def test_lines_count_as_much_as_they_hold():
    content = json.dumps(row(6, "b" * 1000)).encode() + b"\n"
    ((size, _),) = read_lines(rows_of(io.BytesIO(content), Path("a.jsonl")))
    assert size == len(content)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 1, "domain": "math", "answer": "1", "answer": "2"}', "not JSON: the key 'answer' stands twice"),
        (b'{"id": 1, "domain": "math", "answer": "\\ud83d"}', "not text: half a surrogate pair, \\ud83d"),
        (b'{"id": 1, "domain": "math", "answer": "1", "score": NaN}', "not JSON: NaN is not a JSON value"),
    ],
)
def test_what_a_source_sets_aside_is_not_graded(line, reason):
    assert read(line) == [BadLine(number=1, reason=reason)]


def test_csv_and_a_byte_order_mark_are_read_as_in_a_source():
    (line,) = read(b'\xef\xbb\xbfid,domain,answer,reference\n7,math,"\\boxed{1}",1\n', "answers.csv")
    assert (line.id, line.domain, line.answer, line.reference) == ("7", "math", "\\boxed{1}", "1")


def test_a_file_is_read_only_so_far_ahead_as_there_is_work():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield 10, Line.model_validate(row(taken, "aaaa"))

    verdicts = grade_lines(Grader({"math": Slow()}), endless(), workers=2)
    for _ in range(300):
        next(verdicts)
    assert taken == 300 + 2 * 64
    verdicts.close()


def test_a_machine_that_cannot_judge_stops_the_whole_file():
    with pytest.raises(GraderError, match="install it"):
        list(grade_lines(Grader({"math": Broken()}), lines_of(row(1, "a")), workers=1))


TESTS = [{"kind": "call", "function": "f", "given": "[1]", "expected": "2", "limit_s": 2.0}]
ADDS = "```python\ndef f(x):\n    return x + 1\n```"


@pytest.mark.parametrize(
    ("line", "outcome", "extracted"),
    [
        (row(1, "<think>2 or 3</think>It is \\boxed{\\frac12}.", "0.5"), "correct", "\\frac12"),
        (row(1, "<think>2</think> <answer>2</answer>", "2"), "correct", "2"),
        (row(1, "no tags at all: the answer is 7", "7"), "correct", "7"),
        (row(1, "7</think>8", "8"), "correct", "8"),
        (row(1, "<think>the answer is 7", "7"), "malformed", None),
        (row(1, "\\boxed{1} \\boxed{2}", "2"), "malformed", None),
        (row(1, "5", ""), "ungradable", None),
        (row(1, "25\\%", "25", question="What percent of 8 is 2?"), "correct", "25\\%"),
        (row(1, "Answer: (b)", "B", "choice", language="zh"), "correct", "(b)"),
        (row(1, "Dear Ann, good day", "Ann,day", "general"), "correct", "Dear Ann, good day"),
        (row(1, ADDS, None, "code", tests=TESTS), "correct", "def f(x):\n    return x + 1"),
        (row(1, ADDS.replace("1", "2"), None, "code", tests=TESTS), "wrong", "def f(x):\n    return x + 2"),
    ],
)  # fmt: skip
def test_a_line_says_what_was_judged_and_how(line, outcome, extracted, grader):
    (done,) = grade_lines(grader, lines_of(line), workers=1)
    assert (done.outcome, done.extracted) == (outcome, extracted)
    assert done.score == {"correct": 1.0, "ungradable": None}.get(outcome, 0.0)
