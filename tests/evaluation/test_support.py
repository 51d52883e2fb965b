"""Rows whose reasoning does not support their answer are detected in the toy world, and miss their bar."""

from pathlib import Path

import pytest
from report_fakes import report_inputs
from run_fakes import FakeRun, problem, row

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.data.templates import reply
from r1_pipeline.data.toy_problems import product_of, to_problem
from r1_pipeline.data.toy_tasks import Product
from r1_pipeline.evaluation.bars import Bar, bars
from r1_pipeline.evaluation.report import report_json
from r1_pipeline.evaluation.support import Support, support, supported

FACT = Product("force", (3, 5), (25, 15, 5, 20))
WORKED, GUESSED = "first 3 * 5 = 15, so 15(B)", "maybe 25(A) 15(B)"


@pytest.mark.parametrize(
    ("reasoning", "answer", "holds"),
    [
        (WORKED, "(B)", True),
        ("maybe 20(D), check 3 * 5 = 15, no 15(B)", "(B)", True),
        ("先 5 * 3 = 15，选 15(B)", "B", True),
        (GUESSED, "(B)", False),
        ("first 3 * 5 = 15, so 15(B)", "(D)", False),
        ("first 3 * 5 = 20, so 20(D)", "(D)", False),
        ("first 3 * 5 = 15, so 15(C)", "(C)", False),
        ("first 1 * 15 = 15, so 15(B)", "(B)", False),
        ("first 3 * 5 = 15", "(B)", False),
        ("first 3 * 5 = 15, so 15(B)", "", False),
    ],
)
def test_an_answer_is_supported_by_a_true_equation_whose_value_its_option_holds(
    reasoning: str, answer: str, holds: bool
) -> None:
    assert supported(FACT, reply(reasoning, f"\\boxed{{{answer}}}")) is holds


def test_the_fact_is_read_from_the_source_of_a_row() -> None:
    assert product_of(to_problem(FACT, "zh").source) == FACT
    assert product_of("mine/questions.jsonl:3#force 3 5 of 25/15/5/20") is None


def corpus(home: Path, lucky: int) -> Corpus:
    """Returns a corpus with 50 rows of toy multiple choice and two rows of other sources."""
    about = to_problem(FACT, "en")
    responses = [GUESSED] * lucky + [WORKED] * (50 - lucky)
    ours = [
        row(about).model_copy(update={"source": about.source, "response": reply(f"{each}", "\\boxed{(B)}")})
        for each in responses
    ]
    return FakeRun(home).corpus([*ours, row(problem("m", "math", "7"), "7"), row(problem("s", "stem", "A"))])


def claimed(found: Support) -> Bar:
    inputs = report_inputs()
    stats = inputs.corpus.model_copy(update={"support": found})
    inputs = inputs.model_copy(update={"corpus": stats})
    assert report_json(inputs)["corpus"]["toy_choices"] == found.model_dump()
    (bar,) = (bar for bar in bars(inputs) if "reasoning does not support" in bar.claim)
    return bar


@pytest.mark.parametrize(("lucky", "passed"), [(0, True), (1, True), (2, False), (50, False)])
def test_the_bar_falls_on_a_corpus_with_more_than_one_lucky_row_in_fifty(
    tmp_path: Path, lucky: int, passed: bool
) -> None:
    found = support(corpus(tmp_path, lucky))
    assert found == Support(rows=50, unsupported=lucky)
    bar = claimed(found)
    assert (bar.value, bar.passed) == (pytest.approx(lucky / 50), passed)


def test_a_corpus_without_such_rows_has_no_value_and_a_machine_without_the_domain_no_bar() -> None:
    assert claimed(Support(rows=0, unsupported=0)).passed is None
    without = report_inputs().model_copy(update={"left_out": {"stem": "no problems"}})
    assert not [bar for bar in bars(without) if "reasoning does not support" in bar.claim]
