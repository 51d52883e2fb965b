"""Laws of controls: differences are those worked out by hand, and the verdict follows from the intervals."""

from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from report_fakes import report_inputs

from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.controls import Control, Controlled, Measure, Verdict, measured
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.report import build_report
from r1_pipeline.records import Domain


@dataclass(frozen=True)
class Report:
    """An evaluation with completions given as (domain, problem, fact, score, language share, tokens)."""

    rows: tuple[tuple[Any, ...], ...]

    def completions(self) -> pl.DataFrame:
        names = ("domain", "problem_id", "fact", "score", "language_share", "tokens")
        return pl.DataFrame(list(self.rows), schema=names, orient="row")


def replies(*tokens: int, domain: str = "math") -> Report:
    """Returns a report with one reply for each problem, each about a fact of its own."""
    return Report(tuple((domain, f"p{i}", f"f{i}", 1.0, 1.0, count) for i, count in enumerate(tokens)))


def control(measure: Measure = "tokens", domains: tuple[Domain, ...] = ("math",), rises: bool = True) -> Control:
    return Control(
        effect="It thinks longer",
        control="nobody checks",
        measure=measure,
        domains=domains,
        rises=rises,
        pair=("zero", "base"),
        under=("zero_c", "base_c"),
    )


def found(control: Control, **reports: Report) -> Controlled:
    (one,) = measured([control], reports, {name: name for name in reports})  # type: ignore[arg-type]
    return one


def test_tokens_are_compared_problem_by_problem_with_an_interval_over_facts() -> None:
    got = found(control(), zero=replies(10, 14), base=replies(8, 8), zero_c=replies(8, 9), base_c=replies(8, 8))
    # Gaps 2 and 6: mean 4, variance of the mean 2/1 * (2² + 2²) / 2² = 4, half 1.96 * 2.
    assert got.difference.model_dump() == {
        "value": 4.0, "lo": pytest.approx(0.0801, abs=1e-4), "hi": pytest.approx(7.9199, abs=1e-4), "facts": 2
    }  # fmt: skip
    # Gaps 0 and 1: mean 0.5, variance 2 * 0.5 / 4 = 0.25, half 0.98.
    assert (got.controlled.value, got.controlled.lo) == (0.5, pytest.approx(-0.48, abs=1e-2))
    assert got.verdict == "undecided"  # 1.48 is above 0.08


def test_two_samples_of_a_problem_are_its_mean_and_other_domains_do_not_count() -> None:
    two = Report((*replies(10, 14).rows, *replies(14, 18).rows, *replies(999, domain="code").rows))
    got = found(control(), zero=two, base=replies(8, 8), zero_c=replies(8, 8), base_c=replies(8, 8))
    assert (got.difference.value, got.difference.facts, got.controlled.value) == (6.0, 2, 0.0)


def test_language_is_measured_where_there_is_reasoning_and_counts_downwards() -> None:
    def speaks(*shares: float | None) -> Report:
        return Report(tuple(("logic", f"p{i}", f"f{i}", 1.0, share, 9) for i, share in enumerate(shares)))

    mixes = control("language consistency", ("math", "logic"), rises=False)
    got = found(
        mixes, zero=speaks(0.5, 0.7, None), base=speaks(0.9, 0.9, 0.9), zero_c=speaks(1, 1), base_c=speaks(1, 1)
    )
    assert (got.difference.value, got.difference.facts) == (pytest.approx(-0.3), 2)
    assert got.verdict == "vanishes"


def test_pass_at_1_vanishes_where_a_control_does_as_well() -> None:
    def right(*scores: float) -> Report:
        return Report(tuple(("math", f"p{i}", f"f{i}", score, 1.0, 9) for i, score in enumerate(scores)))

    taught, untaught, other = right(*[1.0] * 20), right(*[0.0] * 20), right(*[1.0] * 19, 0.0)
    learns = control("pass@1").model_copy(update={"under": ("zero", "other")})
    got = found(learns, zero=taught, base=untaught, other=other)
    assert (got.difference.value, got.controlled.value, got.verdict) == (1.0, pytest.approx(0.05), "vanishes")
    assert got.under == ("zero", "other")


@pytest.mark.parametrize(
    ("effect", "under", "verdict"),
    [
        ((-0.1, 0.3), (0.1, 0.2), "absent"),
        ((0.2, 0.4), (0.1, 0.3), "stays"),
        ((0.2, 0.4), (0.5, 0.6), "stays"),
        ((0.2, 0.4), (0.01, 0.1), "weakens"),
        ((0.2, 0.4), (-0.1, 0.1), "vanishes"),
        ((0.2, 0.4), (-0.3, -0.1), "vanishes"),
        ((0.2, 0.4), (-0.1, 0.3), "undecided"),
    ],
)
@pytest.mark.parametrize("rises", [True, False])
def test_the_verdict_is_that_of_the_two_intervals(
    effect: tuple[float, float], under: tuple[float, float], verdict: Verdict, rises: bool
) -> None:
    assert controlled(effect, under, rises).verdict == verdict


def controlled(effect: tuple[float, float], under: tuple[float, float], rises: bool = True) -> Controlled:
    def difference(ends: tuple[float, float]) -> Difference:
        lo, hi = ends if rises else (-ends[1], -ends[0])
        return Difference(value=(lo + hi) / 2, lo=lo, hi=hi, facts=9)

    return Controlled(
        **control(rises=rises).model_dump(exclude={"domains"}),
        difference=difference(effect),
        controlled=difference(under),
    )


def test_every_partition_is_controlled_by_itself_and_what_was_not_evaluated_is_left_out() -> None:
    reports = {name: replies(3, 4) for name in ("zero/a", "zero/b", "base/a", "base/b", "zero_c/a", "base_c")}
    found = measured([control()], reports, {name: name.partition("/")[0] for name in reports})  # type: ignore[arg-type]
    assert [(each.pair, each.under) for each in found] == [(("zero/a", "base/a"), ("zero_c/a", "base_c"))]


def test_models_that_share_no_problem_are_named() -> None:
    strangers = {"zero": replies(3), "base": replies(3, domain="code"), "zero_c": replies(3), "base_c": replies(3)}
    with pytest.raises(
        ArtifactError, match=r"^zero and base share no problem of math; evaluate both on the same problems$"
    ):
        found(control(), **strangers)


def test_the_report_says_which_effect_vanishes_and_which_stays() -> None:
    both = (controlled((0.2, 0.4), (-0.1, 0.1)), controlled((2.0, 4.0), (1.0, 3.0)))
    report, html = build_report(report_inputs().model_copy(update={"controls": both}))
    assert [each["verdict"] for each in report["controls"]] == ["vanishes", "stays"]
    assert report["controls"][0]["controlled"] == {"value": 0.0, "lo": -0.1, "hi": 0.1, "facts": 9}
    assert "<td>vanishes under its control</td>" in html and "<td>stays under its control</td>" in html
    assert 'id="controls"' not in build_report(report_inputs())[1]
