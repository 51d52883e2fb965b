"""The law of second opinions: counts, kappa and causes are those of a hand count, and a grader's failure is none of
ours."""

import sys
from pathlib import Path

import pytest

from r1_pipeline.errors import RequirementError
from r1_pipeline.evaluation.agreement import cause_of, kappa, same_reading, second_opinion
from r1_pipeline.evaluation.outside import environment
from r1_pipeline.evaluation.outside.environment import Opinion, opinions, requirements_of
from r1_pipeline.evaluation.outside.graders import OUTSIDE, Answer, Job
from r1_pipeline.records import Outcome

NAMED = {grader.name: grader for grader in OUTSIDE}


def job(answer: str, reference: str) -> Job:
    return Job(answer=answer, reference=reference, domain="math", question="")


def stored(id_: str, outcome: Outcome, reading: str | None, reference: str = "1", grades: str = "math") -> Answer:
    return Answer(id=id_, job=job("", reference), grades=grades, outcome=outcome, reading=reading, detail="by our rule")


def said(correct: bool | None, reading: str | None = None, why: str = "") -> Opinion:
    return Opinion(correct=correct, reading=reading, why=why)


def test_kappa_is_that_of_a_hand_count() -> None:
    # 50 answers: the same on 35, p_o = 0.7; by chance (25 * 30 + 25 * 20) / 2500 = 0.5; (0.7 - 0.5) / (1 - 0.5) = 0.4
    assert kappa(20, 5, 10, 15) == pytest.approx(0.4, abs=1e-15)
    assert kappa(3, 0, 0, 7) == 1.0
    # independent graders: 0
    assert kappa(1, 1, 1, 1) == 0.0


def test_kappa_of_graders_that_always_say_the_same_is_undefined() -> None:
    assert kappa(9, 0, 0, 0) is None
    assert kappa(0, 0, 0, 0) is None


@pytest.mark.parametrize(
    ("answer", "opinion", "cause"),
    [
        (stored("a", Outcome.CORRECT, "1"), said(None, None, "timeout"), "timeout"),
        (stored("a", Outcome.CORRECT, "1"), said(None, None, "ValueError: x"), "error"),
        (stored("a", Outcome.GRADER_ERROR, None), said(True, "1"), "error"),
        (stored("a", Outcome.CORRECT, "1"), said(False, None), "extraction"),
        (stored("a", Outcome.CORRECT, "1"), said(False, None, "unstated"), "unstated"),
        (stored("a", Outcome.WRONG, "12"), said(True, "1"), "extraction"),
        (stored("a", Outcome.CORRECT, "3.14", reference="3.1416"), said(False, "3.14"), "rounding"),
        (stored("a", Outcome.CORRECT, "5 \\text{ cm}", reference="5"), said(False, "5\\text{ cm}"), "units"),
        (stored("a", Outcome.CORRECT, "\\dfrac{1}{2}", reference="0.5"), said(False, "\\frac12"), "equivalence"),
        (stored("a", Outcome.WRONG, "def f(): pass", grades="code"), said(True, "def f(): pass"), "tests"),
    ],
)
def test_every_disagreement_has_its_cause(answer: Answer, opinion: Opinion, cause: str) -> None:
    assert cause_of(answer, opinion) == cause


def test_readings_are_compared_as_a_person_would() -> None:
    assert same_reading("x = \\frac{1}{2}", "$\\dfrac{1}{2}$")
    assert same_reading("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})")
    assert same_reading("10,000", "10000")
    assert not same_reading("1", "12")
    assert not same_reading("5", None)


def test_a_set_of_answers_is_counted_as_by_hand() -> None:
    answers = [
        stored("both", Outcome.CORRECT, "1"),
        stored("ours", Outcome.CORRECT, "1"),
        stored("theirs", Outcome.WRONG, "2"),
        stored("neither", Outcome.MALFORMED, None),
        stored("late", Outcome.CORRECT, "1"),
    ]
    first = {"both": said(True, "1"), "ours": said(False, "1"), "theirs": said(True, "1")}
    first |= {"neither": said(False), "late": said(None, None, "timeout")}
    second = first | {"theirs": said(False, "2"), "late": said(True, "1")}
    graders = [NAMED["math_verify"], NAMED["qwen"]]
    made = second_opinion("x", "d", answers, ["maths@6"], {"math_verify": first, "qwen": second}, graders, {})
    one, two = made.agreements
    assert (one.judged, one.both_correct, one.ours_only, one.theirs_only, one.both_wrong) == (4, 1, 1, 1, 1)
    assert (one.without_verdict, one.agreement, one.kappa) == (1, 0.5, 0.0)
    assert one.causes == {"equivalence": 1, "extraction": 1, "timeout": 1}
    # 5 answers, the same on 4: p_o = 0.8, by chance (3 * 2 + 2 * 3) / 25 = 0.48; 0.32 / 0.52
    assert (two.judged, two.agreement, two.kappa) == (5, 0.8, pytest.approx(0.32 / 0.52))
    assert made.alone == 1  # `ours`, which both call wrong
    assert [each.id for each in made.disagreements] == ["ours", "theirs", "late", "ours"]
    assert made.disagreements[0].detail == "by our rule"


def test_an_outside_grader_runs_for_real() -> None:
    jobs = [job("So it is \\boxed{\\frac{1}{2}}.", "0.5"), job("Hence \\boxed{7}.", "8"), job("No number.", "8")]
    found = opinions(NAMED["math_verify"], Path(sys.executable), jobs)
    assert [each.correct for each in found] == [True, False, False]
    assert found[0].reading == "\\frac{1}{2}"


def test_a_grader_whose_package_is_missing_is_said() -> None:
    with pytest.raises(
        RequirementError, match=r"qwen .* does not run: ModuleNotFoundError: No module named 'evalscope'"
    ):
        opinions(NAMED["qwen"], Path(sys.executable), [job("1", "1")])


def test_a_grader_that_hangs_or_crashes_loses_one_answer_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, time\n"
        "for number, _ in enumerate(sys.stdin):\n"
        "    if number < int(sys.argv[4]): continue\n"
        "    if number == 1: time.sleep(600)\n"
        "    if number == 3: os._exit(9)\n"
        '    print(\'{"correct": true, "reading": null, "why": ""}\', flush=True)\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(environment, "PATIENCE_S", 1.0)
    monkeypatch.setattr(environment, "WAITS", 4)
    found = opinions(NAMED["math_verify"], python, [job("1", "1")] * 5)
    assert [each.why for each in found] == ["", "timeout", "", "crashed", ""]
    assert [each.correct for each in found] == [True, None, True, None, True]


@pytest.mark.parametrize("name", sorted({grader.environment for grader in OUTSIDE}))
def test_every_package_of_an_environment_is_pinned_and_has_its_graders(name: str) -> None:
    lines = [line for line in requirements_of(name).read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.lower().replace("_", "-").split("==") for line in lines)
    for grader in OUTSIDE:
        if grader.environment == name:
            package, version = grader.package.split()
            assert pinned[package] == version
