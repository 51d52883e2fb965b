"""The law of the exact paired test: its p-values are those of a count by hand."""

from itertools import product

import pytest

from r1_pipeline.evaluation.estimators import Gap, exact_p


def gaps(*values: float, facts: str = "") -> list[Gap]:
    return [Gap(fact=facts[n] if facts else str(n), gap=value) for n, value in enumerate(values)]


def test_one_sample_a_problem_is_mcnemars_exact_test() -> None:
    # 5 problems better, 1 worse, 4 the same: p = 2 (C(6,0) + C(6,1)) / 2^6 = 14/64
    assert exact_p(gaps(1, 1, 1, 1, 1, -1, 0, 0, 0, 0)) == pytest.approx(14 / 64, abs=1e-12)
    assert exact_p(gaps(*[1] * 10)) == pytest.approx(2 / 1024, abs=1e-12)


def test_equal_models_have_p_one() -> None:
    assert exact_p(gaps(1, -1, 0)) == 1.0
    assert exact_p(gaps(0, 0)) == 1.0


def test_several_samples_are_all_choices_of_signs() -> None:
    values = (0.5, 0.25, -0.125, 1.0, 0.75)
    seen = abs(sum(values))
    flips = product((1, -1), repeat=5)
    totals = [abs(sum(sign * value for sign, value in zip(signs, values, strict=True))) for signs in flips]
    assert exact_p(gaps(*values)) == pytest.approx(sum(total >= seen - 1e-9 for total in totals) / 32, abs=1e-12)


def test_problems_about_one_fact_flip_together() -> None:
    # two facts, each with two problems that are better: 2 of the 4 choices of signs are as far from zero
    assert exact_p(gaps(1, 1, 1, 1, facts="aabb")) == 0.5
