"""A corpus that always answers D is detected, although every row of it is right."""

from pathlib import Path

import polars as pl
import pytest
from run_fakes import FakeRun, problem, row

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.evaluation.answer_bias import answer_distribution, favourites
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.records import Problem

LIMITS = GateLimits(
    gain_over_base=0,
    format_rate=0,
    language_consistency=0,
    preference_accuracy=0,
    licences=(),
    unknown_characters=0,
    regression=0,
    answer_excess=0.15,
)
PROBLEMS = [problem(f"s{i}", "stem", "ABCD"[i % 4]) for i in range(740)]
"""A quarter of the references are D."""


def corpus(home: Path, of: list[Problem]) -> Corpus:
    return FakeRun(home).corpus([row(about, about.answer or "") for about in of])


def test_a_corpus_that_says_d_in_184_of_185_rows_fails_though_every_row_is_right(tmp_path: Path) -> None:
    right = [about for about in PROBLEMS if about.answer == "D"][:184] + PROBLEMS[:1]
    (gate,) = answer_distribution(corpus(tmp_path, right), PROBLEMS, LIMITS)
    assert (gate.name, gate.passed) == ("answer_distribution_stem", False)
    assert gate.value == pytest.approx(0.97 - 0.25, abs=0.02)
    assert gate.detail == "'d' is the answer of 184 of 185 rows, and of 25% of the problems"


def test_a_corpus_in_the_proportions_of_its_problems_passes(tmp_path: Path) -> None:
    (gate,) = answer_distribution(corpus(tmp_path, PROBLEMS[:185]), PROBLEMS, LIMITS)
    assert gate.passed
    assert gate.value < 0


def test_ten_rows_that_agree_by_chance_are_not_sure_enough_to_fail(tmp_path: Path) -> None:
    some = [about for about in PROBLEMS if about.answer == "D"][:4] + PROBLEMS[:6]
    (gate,) = answer_distribution(corpus(tmp_path, some), PROBLEMS, LIMITS)
    assert gate.passed


def test_letters_in_whatever_spelling_are_one_answer_and_sums_are_no_choice(tmp_path: Path) -> None:
    spelled = [problem(f"s{i}", "stem", "D") for i in range(3)] + [problem("m", "math", "7")]
    rows = [row(p, answer) for p, answer in zip(spelled, ("D", "(D)", "d.", "7"), strict=True)]
    (gate,) = answer_distribution(FakeRun(tmp_path).corpus(rows), spelled, LIMITS)
    assert gate.detail.startswith("'d' is the answer of 3 of 3 rows")


def test_the_favourite_of_a_model_is_counted_among_its_answers() -> None:
    judged = pl.DataFrame(
        {
            "domain": ["stem"] * 5 + ["math"],
            "verifier": ["choice@3+strict"] * 5 + ["maths@1"],
            "extracted": ["D", "(d)", "A", "B", None, "7"],
        }
    )
    assert {d: each.model_dump() for d, each in favourites(judged).items()} == {
        "stem": {"answer": "d", "share": 0.5, "answers": 4}
    }
