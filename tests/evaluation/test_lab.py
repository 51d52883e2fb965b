"""Laws of the laboratory's page: paired differences, intervals over problems and seeds, verdicts, by hand."""

import math

import pytest

from r1_pipeline.evaluation.lab import POINTS, STUDENT, Lab, Row, Stopped, Trial, curve, difference, page, verdict
from r1_pipeline.evaluation.paired import Mark

EASY = {"math": [1.0] * 40, "logic": [1.0] * 40}
HARD = {"math": [0.0] * 40, "logic": [0.0] * 40}
MIXED = {"math": [1.0, 0.0] * 20, "logic": [0.0, 1.0] * 20}


def made(scores: dict[str, list[float]], seed: int = 0, generated: int = 1000) -> Trial:
    marks = [
        Mark(group=domain, problem_id=f"{domain}{place}", fact=f"{domain}{place}", score=score)
        for domain, row in scores.items()
        for place, score in enumerate(row)
    ]
    return Trial(
        seed=seed,
        generated=generated,
        trained=0,
        steps=160,
        seconds=90.0,
        curve=(0.0, 0.5, 1.0),
        reply_tokens=17.0,
        commit="abc",
        marks=tuple(marks),
    )


def row(*trials: Trial, name: str = "one", stopped: tuple[Stopped, ...] = ()) -> Row:
    return Row(name=name, claim="It is better", source="1234.5678", trials=trials, stopped=stopped)


def test_a_difference_is_the_mean_over_domains_of_gaps_of_the_same_problem() -> None:
    some = {"math": [1.0] * 10 + [0.0] * 30, "logic": [0.0] * 40}
    found = difference(row(made(some)), row(made(HARD)))
    assert found is not None
    assert found.value == pytest.approx(10 / 40 / 2)
    assert found.lo < found.value < found.hi


@pytest.mark.parametrize(
    ("scores", "expected"), [(EASY, "better"), (HARD, "worse"), (MIXED, "no difference shown")], ids=str
)
def test_a_verdict_follows_from_the_interval(scores: dict[str, list[float]], expected: str) -> None:
    assert verdict(row(made(scores)), row(made(MIXED))) == expected


def test_seeds_that_disagree_widen_the_interval_to_students() -> None:
    plain = row(*(made(HARD, seed) for seed in range(3)))
    shares = (0.2, 0.5, 0.8)
    trials = [
        made({"math": [1.0] * int(40 * share) + [0.0] * int(40 - 40 * share)}, s) for s, share in enumerate(shares)
    ]
    found = difference(row(*trials), row(*(made({"math": HARD["math"]}, seed) for seed in range(3))))
    assert found is not None
    half = STUDENT[1] * 0.3 / math.sqrt(3)
    assert (found.value, found.lo, found.hi) == pytest.approx((0.5, 0.5 - half, min(1.0, 0.5 + half)))
    assert verdict(row(*trials), plain) == "no difference shown"


def test_seeds_that_agree_do_not_narrow_the_interval_over_problems() -> None:
    one = difference(row(made(EASY)), row(made(MIXED)))
    two = difference(row(made(EASY), made(EASY, 1)), row(made(MIXED), made(MIXED, 1)))
    assert one is not None and two is not None
    assert two.lo == pytest.approx(one.lo, abs=0.02)


def test_only_seeds_of_both_are_compared() -> None:
    found = difference(row(made(EASY), made(HARD, 1)), row(made(HARD)))
    assert found is not None
    assert found.value == 1.0


def test_a_run_that_a_guard_stopped_is_a_result() -> None:
    lost = row(stopped=(Stopped(seed=0, reason="entropy is 0.0001"),))
    assert verdict(lost, row(made(EASY))) == "stopped"
    text = page(Lab(profile="smoke", plain=row(made(EASY), name="r1_zero"), variants=(lost,)))
    assert "| `one` | – | – | – | – | – | – | – | stopped |" in text
    assert "stopped in 1 of 1 runs: entropy is 0.0001" in text


def test_the_page_says_tokens_difference_and_how_many_seeds() -> None:
    better = row(made(EASY, generated=1010), name="kind")
    text = page(Lab(profile="smoke", plain=row(made(HARD), name="r1_zero"), variants=(better,)))
    assert "Profile `smoke`, seed 0 alone, so intervals are over problems and say nothing about other seeds" in text
    assert "| `r1_zero` | 100.0% | 160 | 0.000 | – | 17.0 | ▁▅█ | 1.5 | – |" in text
    assert "| `kind` | 101.0% | 160 | 1.000 | +100.0 [" in text
    assert "| It is better | 1234.5678 | better: +100.0 [" in text


def test_a_curve_is_the_mean_of_equal_parts_of_the_run() -> None:
    rows = [{"reward/accuracy": float(step)} for step in range(POINTS * 2)] + [{"loss": 1.0}]
    assert curve(rows) == tuple(2 * part + 0.5 for part in range(POINTS))
    assert curve(rows[:2]) == (0.0, 1.0)
