"""Laws of the majority vote: equal values are one vote, whatever their spelling."""

from collections.abc import Iterator, Sequence

import polars as pl
import pytest

from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Domain, Problem
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.verifier import Grader


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with default_grader(Runtime(threads=2)) as made:
        yield made


def votes(grader: Grader, domain: Domain, reference: str, answers: Sequence[tuple[str | None, float | None]]) -> object:
    problem = Problem(
        id="p", question="q", answer=reference, tests=(), domain=domain, language="en", source="t#f", licence="CC0-1.0"
    )
    judged = pl.DataFrame(
        [
            {"problem_id": "p", "sample_index": index, "extracted": answer, "score": score}
            for index, (answer, score) in enumerate(answers)
        ],
        schema={"problem_id": pl.String, "sample_index": pl.Int64, "extracted": pl.String, "score": pl.Float64},
    )
    return with_votes(judged, [problem], grader)["vote"].to_list()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1/2", "0.5"),
        ("\\frac{1}{2}", "1/2"),
        ("2\\sqrt{2}", "\\sqrt{8}"),
        ("x = 3", "3"),
        ("1,000", "1000"),
        ("\\{1, 2\\}", "\\{2, 1\\}"),
        ("50\\%", "0.5"),
    ],
)
def test_equal_values_are_one_vote_right_or_wrong(grader: Grader, left: str, right: str) -> None:
    assert votes(grader, "math", "7", [(left, 0.0), (right, 0.0), ("8", 0.0)]) == [0, 0, 2]
    assert votes(grader, "math", left, [("8", 0.0), (left, 1.0), (right, 1.0)]) == [0, 1, 1]


def test_different_values_are_different_votes(grader: Grader) -> None:
    answers = [("1/2", 0.0), ("1/3", 0.0), ("0.33", 0.0), ("(1, 2)", 0.0), ("(2, 1)", 0.0)]
    assert votes(grader, "math", "7", answers) == [0, 1, 2, 3, 4]


def test_an_option_is_one_vote_however_it_is_written(grader: Grader) -> None:
    assert votes(grader, "stem", "A", [("(B)", 0.0), ("b", 0.0), ("\\text{B}", 0.0), ("C", 0.0)]) == [0, 0, 0, 3]


def test_no_answer_and_no_score_are_no_vote(grader: Grader) -> None:
    assert votes(grader, "math", "7", [(None, 0.0), ("7", 1.0), ("8", None)]) == [None, 1, None]


def test_right_programs_that_read_differently_are_different_votes(grader: Grader) -> None:
    """A vote may not use the hidden tests, which alone could show that two programs are equivalent."""
    programs = [("def f(x): return x + 1", 1.0), ("f = lambda x: 1 + x", 1.0), ("def f(x):  return x + 1", 1.0)]
    assert votes(grader, "code", "def f(x): return x + 1", programs) == [0, 1, 0]
