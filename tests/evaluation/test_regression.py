"""A significant loss against the predecessor is detected, and noise is not."""

from pathlib import Path

import pytest
from run_fakes import FakeRun, says
from test_answer_bias import LIMITS

from r1_pipeline.artifacts.kinds import EvalReport, PreferenceScores
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.paired import Mark, differences, mean_difference
from r1_pipeline.evaluation.regression import no_less_preferred, no_regression


def marks(group: str, *scores: float) -> list[Mark]:
    return [Mark(group=group, problem_id=str(i), fact=str(i), score=score) for i, score in enumerate(scores)]


def test_models_are_compared_on_the_problems_that_both_answered() -> None:
    after = [*marks("math", 1, 1, 1), *marks("code", 1)]
    before = [*marks("math", 0, 1), *marks("stem", 0)]
    found = differences(after, before)
    assert {domain: (each.value, each.facts) for domain, each in found.items()} == {"math": (0.5, 2)}
    assert mean_difference(after, marks("stem", 1)) is None


def test_intervals_of_all_domains_at_once_are_wider_than_each_alone() -> None:
    after, before = ([*marks("math", *each), *marks("code", *each)] for each in ([1] * 9 + [0], [0] * 9 + [1]))
    alone, together = differences(after, before), differences(after, before, together=True)
    assert all(together[domain].lo < alone[domain].lo for domain in ("math", "code"))


def evaluated(home: Path, **answers: str) -> list[EvalReport]:
    run = FakeRun(home)
    for model, answer in answers.items():
        run.evaluation(model, "chat", says("two words", answer, "chat"))
    found = [run.artifacts[f"evaluation/{model}"] for model in answers]
    assert all(isinstance(each, EvalReport) for each in found)
    return [each for each in found if isinstance(each, EvalReport)]


def test_each_domain_has_a_gate_with_the_interval_in_its_words(tmp_path: Path) -> None:
    after, before = evaluated(tmp_path, dev2="B", dev1="A")
    gates = {gate.name: gate for gate in no_regression(after, before, LIMITS)}
    assert set(gates) == {"no_regression_math", "no_regression_logic"}
    # Two facts lost of two: with the made-up ones -2 of 4, squares 2 * 0.25 + 1.5²/2 + 0.5²/2 + 0.25 = 2, so the
    # variance is 4/3 * 2 / 16; 2.2414 standard errors hold both domains at once.
    assert gates["no_regression_math"].value == pytest.approx(-0.5 + 2.2414 * (1 / 6) ** 0.5, abs=1e-4)
    assert gates["no_regression_math"].passed  # two facts are few
    assert gates["no_regression_math"].detail.startswith("upper end; -1.000 (-1.000 to +0.415) against evaluation/dev1")


def test_answers_that_the_reward_models_surely_like_less_fail(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    run.preferences({"dev3": (0.9, 0.8, 0.9), "r1": (0.5, 0.4, 0.5)})
    scores = run.artifacts["preference_scores"]
    assert isinstance(scores, PreferenceScores)
    with pytest.raises(ArtifactError, match="no general prompt that both r1 and dev9"):
        no_less_preferred(scores, "r1", "dev9", LIMITS)
    few = no_less_preferred(scores, "r1", "dev3", LIMITS)
    assert few.passed  # of the harmful ones there is one, which says nothing of how sure it is
    assert few.detail.startswith("upper end; -0.400 (-1.000 to +1.000) against dev3, 3 facts")
