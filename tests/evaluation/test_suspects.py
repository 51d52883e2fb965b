"""Laws of suspect references: agreement among samples, against the reference, by values."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.evaluation.suspects import suspects
from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Problem
from r1_pipeline.rewards.graders import default_grader

ALTERED = 50


def problem(number: int, answer: str) -> Problem:
    return Problem(
        id=f"{number:016x}", question=f"{number}?", answer=answer, tests=(), domain="math", language="en",
        source=f"set/file.jsonl:{number}", licence="MIT",
    )  # fmt: skip


def judged(rows: list[tuple[int, int, str | None, float | None]], problems: list[Problem]) -> pl.DataFrame:
    table = pl.DataFrame(
        [(f"{number:016x}", index, extracted, score) for number, index, extracted, score in rows],
        schema={"problem_id": pl.String, "sample_index": pl.Int64, "extracted": pl.String, "score": pl.Float64},
        orient="row",
    )
    with default_grader(Runtime(threads=1)) as grader:
        return with_votes(table, problems, grader)


def test_agreement_against_the_reference_is_suspect_and_clearer_evidence_comes_first() -> None:
    problems = [problem(0, "1"), problem(1, "1"), problem(2, "1"), problem(3, "1")]
    answers = {
        0: ("1", "1", "1", "2", "2"),  # right
        1: ("1/2", "0.5", "\\frac{1}{2}", "1", "7"),  # three of five agree by value
        2: ("2", "2", "3", "3", None),  # two of five
        3: ("9", "9", "9", "9", "9"),
    }
    rows = [
        (number, index, text, None if text is None else float(text == "1"))
        for number, said in answers.items()
        for index, text in enumerate(said)
    ]
    found = suspects(judged(rows, problems), problems)
    assert [(each.problem_id[-1], each.answer, each.agreeing, each.correct, each.samples) for each in found] == [
        ("3", "9", 5, 0, 5),
        ("1", "1/2", 3, 1, 5),
    ]
    assert (found[1].reference, found[1].source) == ("1", "set/file.jsonl:1")
    assert [each.problem_id[-1] for each in suspects(judged(rows, problems), problems, share=0.9)] == ["3"]
    assert suspects(judged(rows, problems), problems, samples=6) == []


def test_samples_that_were_not_graded_are_no_evidence() -> None:
    problems = [problem(0, "1")]
    rows: list[tuple[int, int, str | None, float | None]] = [(0, index, "2", None) for index in range(4)]
    assert suspects(judged(rows, problems), problems) == []


@pytest.mark.slow
def test_altered_references_are_found_and_few_others(public_data: Path) -> None:
    """Half of 100 problems of MATH with eight stored replies each, chosen by a hash, get another reference."""
    data = pl.read_parquet(public_data / "graded_completions" / "math_cot_100x8_rm.parquet")
    order = sorted(range(data.height), key=lambda number: hashlib.sha256(str(number).encode()).hexdigest())
    altered = set(order[:ALTERED])
    problems = [
        problem(number, altered_answer(answer) if number in altered else answer)
        for number, answer in enumerate(data["answer"])
    ]
    with default_grader(Runtime(threads=2), "lenient") as grader:
        rows = [
            (number, index, verdict.extracted, verdict.score)
            for number, replies in enumerate(data["response"].to_list())
            for index, reply in enumerate(replies)
            for verdict in [grader.judge(problems[number], reply)]
        ]
    found = {int(each.problem_id, 16) for each in suspects(judged(rows, problems), problems)}
    assert len(found & altered) >= 45
    assert len(found - altered) <= 10


def altered_answer(answer: str) -> str:
    return str(int(answer) + 1) if answer.lstrip("-").isdigit() else f"{answer}+1"
