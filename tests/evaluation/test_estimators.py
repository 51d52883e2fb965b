"""Laws of the estimators: every value is worked out by hand, or compared with all possible draws."""

import itertools
import math

import pytest

from r1_pipeline.evaluation.estimators import (
    Gap,
    Tally,
    cons_at_k,
    interval,
    mean_pass_at_k,
    paired,
    pass_at_1,
    pass_at_k,
)


def tallies(*pairs: tuple[int, int], languages: int = 1) -> list[Tally]:
    """Returns one problem for each pair; `languages` consecutive problems are about one fact."""
    return [Tally(judged=n, correct=c, fact=str(i // languages)) for i, (n, c) in enumerate(pairs)]


def test_pass_at_k_is_the_share_of_all_draws_that_hold_a_right_sample() -> None:
    for n, c, k in [(4, 1, 2), (5, 2, 3), (6, 0, 1), (6, 6, 6), (4, 3, 2)]:
        draws = list(itertools.combinations([i < c for i in range(n)], k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 1)])
def test_pass_at_k_refuses_counts_that_cannot_be(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k}"):
        pass_at_k(n, c, k)


def test_pass_at_1_weighs_problems_not_samples() -> None:
    assert pass_at_1(tallies((4, 4), (1, 0))) == 0.5


def test_a_problem_with_too_few_judged_samples_does_not_enter_pass_at_k() -> None:
    assert mean_pass_at_k(tallies((4, 1), (1, 1)), 2) == pytest.approx(0.5)
    assert mean_pass_at_k(tallies((1, 1)), 2) is None


def test_the_majority_answer_gets_the_credit() -> None:
    assert cons_at_k([("7", 1.0), ("7", 1.0), ("8", 0.0)]) == 1.0
    assert cons_at_k([("7", 1.0), ("8", 0.0), ("8", 0.0), (None, 0.0)]) == 0.0


def test_ties_share_and_silence_does_not_vote() -> None:
    assert cons_at_k([("7", 1.0), ("8", 0.0)]) == 0.5
    assert cons_at_k([("a", 1.0), ("b", 1.0), ("c", 0.0)]) == pytest.approx(2 / 3)
    assert cons_at_k([(None, 0.0), ("7", 1.0)]) == 1.0
    assert cons_at_k([(None, 0.0)]) == 0.0


def test_interval_of_independent_samples_is_wilsons() -> None:
    # One sample a problem, 5 of 10 right: se² = 10 * 0.25 / 90, so n = 0.25 / se² = 9.
    n, z2 = 9.0, 1.959963984540054**2
    half = math.sqrt(z2 * (0.25 / n + z2 / (4 * n * n))) / (1 + z2 / n)
    got = interval([tallies(*[(1, 1)] * 5, *[(1, 0)] * 5)])
    assert (got.lo, got.hi) == pytest.approx((0.5 - half, 0.5 + half))


def test_repeating_the_same_answers_does_not_narrow_the_interval() -> None:
    once = interval([tallies(*[(1, 1)] * 30, *[(1, 0)] * 20)])
    four_times = interval([tallies(*[(4, 4)] * 30, *[(4, 0)] * 20)])
    assert (once.lo, once.hi) == pytest.approx((four_times.lo, four_times.hi))


def test_samples_that_disagree_within_a_problem_do_narrow_it() -> None:
    spread = interval([tallies(*[(4, 2)] * 50)])
    solid = interval([tallies(*[(4, 4)] * 25, *[(4, 0)] * 25)])
    assert spread.hi - spread.lo < solid.hi - solid.lo


def test_all_right_is_not_certain() -> None:
    got = interval([tallies(*[(4, 4)] * 10)])
    assert got.hi == pytest.approx(1.0)
    assert got.lo == pytest.approx(10 / (10 + 1.959963984540054**2))  # Wilson at p = 1, ten problems


def test_the_mean_over_domains_has_the_variance_of_a_mean() -> None:
    domain = tallies(*[(1, 1)] * 50, *[(1, 0)] * 50)
    one, two = interval([domain]), interval([domain, domain])
    assert (one.hi - one.lo) / (two.hi - two.lo) == pytest.approx(math.sqrt(2), rel=0.02)
    certain = interval([tallies((4, 4), (4, 4)), tallies((4, 4), (4, 4))])
    assert certain.lo == pytest.approx(4 / (4 + 1.959963984540054**2))  # D² / Σ 1/n_d = 4 / (1/2 + 1/2)


def test_a_fact_asked_in_two_languages_counts_once() -> None:
    # 30 facts right and 20 wrong, each in two languages with the same result: as wide as with one language.
    one = interval([tallies(*[(1, 1)] * 30, *[(1, 0)] * 20)])
    two = interval([tallies(*[(1, 1)] * 60, *[(1, 0)] * 40, languages=2)])
    assert (two.lo, two.hi) == pytest.approx((one.lo, one.hi))
    apart = interval([tallies(*[(1, 1)] * 60, *[(1, 0)] * 40)])
    assert two.hi - two.lo > 1.3 * (apart.hi - apart.lo)


def test_languages_that_disagree_about_their_facts_are_as_good_as_many_facts() -> None:
    # Each fact right in one language and wrong in the other: no variance between facts is left.
    half = interval([tallies(*[(1, 1), (1, 0)] * 50, languages=2)])
    apart = interval([tallies(*[(1, 1), (1, 0)] * 50)])
    assert half.hi - half.lo <= apart.hi - apart.lo


def test_the_interval_of_facts_is_worked_out_by_hand() -> None:
    # Facts: (1, 1), (1, 0), (0, 0); p = 1/2, sums of residuals 1, 0, -1; se² = 3/2 * 2 / 36 = 1/12; n = (1/4) * 12 = 3.
    got = interval([tallies((1, 1), (1, 1), (1, 1), (1, 0), (1, 0), (1, 0), languages=2)])
    n, z2 = 3.0, 1.959963984540054**2
    half = math.sqrt(z2 * (0.25 / n + z2 / (4 * n * n))) / (1 + z2 / n)
    assert (got.lo, got.hi) == pytest.approx((0.5 - half, 0.5 + half))


def test_all_right_counts_facts() -> None:
    got = interval([tallies(*[(4, 4)] * 10, languages=2)])
    assert got.lo == pytest.approx(5 / (5 + 1.959963984540054**2))


def gaps(*values: float, languages: int = 1) -> list[Gap]:
    """Returns one problem for each value; `languages` consecutive problems are about one fact."""
    return [Gap(fact=str(i // languages), gap=value) for i, value in enumerate(values)]


Z = 1.959963984540054


def test_a_paired_interval_is_worked_out_by_hand() -> None:
    # Two facts gain 1, two stay: with two made-up facts the sum is 2 of 6, the mean 1/3. Squares about it: 2 * (2/3)²
    # and 2 * (1/3)² of the real ones, (2/3)² / 2 + (4/3)² / 2 + (1/3)² of the made-up: 8/9 + 2/9 + 2/9 + 8/9 + 1/9.
    got = paired([gaps(1, 1, 0, 0)])
    half = Z * math.sqrt(6 / 5 * (21 / 9) / 36)
    assert (got.value, got.facts) == (0.5, 4)
    assert (got.lo, got.hi) == pytest.approx((1 / 3 - half, 1 / 3 + half))


def test_scores_that_vary_freely_have_the_interval_of_their_mean() -> None:
    # Gaps 0.1, 0.2, 0.3: mean 0.2, variance of the mean 3/2 * 0.02 / 9.
    got = paired([gaps(0.1, 0.2, 0.3)], counts=False)
    half = Z * math.sqrt(1.5 * 0.02 / 9)
    assert (got.value, got.lo, got.hi) == pytest.approx((0.2, 0.2 - half, 0.2 + half))


def test_a_fact_in_two_languages_counts_once_in_a_difference() -> None:
    one = paired([gaps(*[1] * 10, *[0] * 20)])
    two = paired([gaps(*[1] * 20, *[0] * 40, languages=2)])
    assert (two.lo, two.hi, two.facts) == pytest.approx((one.lo, one.hi, 30))


def test_few_facts_that_agree_prove_nothing_and_one_fact_alone_says_nothing() -> None:
    assert paired([gaps(1, 1)]).lo < 0 < paired([gaps(*[1] * 12)]).lo
    alone = paired([gaps(0.5)], counts=False)
    assert (alone.value, alone.lo, alone.hi) == (0.5, -1.0, 1.0)
    with pytest.raises(ValueError, match="the two models share no problem"):
        paired([[]])


def test_a_difference_on_the_same_problems_is_surer_than_two_intervals_apart() -> None:
    """The gain from 55 to 67 of 100 facts, the same 55 among them, is significant if paired; the intervals overlap."""
    before, after = tallies(*[(1, 1)] * 55, *[(1, 0)] * 45), tallies(*[(1, 1)] * 67, *[(1, 0)] * 33)
    assert interval([before]).hi > interval([after]).lo
    assert paired([gaps(*[0] * 55, *[1] * 12, *[0] * 33)]).lo > 0


def test_the_mean_of_two_domains_is_as_sure_as_a_mean_and_many_intervals_at_once_are_wider() -> None:
    domain = gaps(*[1] * 30, *[0] * 70)
    one, two = paired([domain]), paired([domain, domain])
    assert (one.hi - one.lo) / (two.hi - two.lo) == pytest.approx(math.sqrt(2))
    five = paired([domain], comparisons=5)
    assert (five.hi - five.lo) / (one.hi - one.lo) == pytest.approx(2.575829 / Z)  # 0.995 quantile
