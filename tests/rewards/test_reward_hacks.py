"""Reward hacks earn nothing from our parts, and a part that rewards one is detected."""

import pytest

from r1_pipeline.records import Outcome
from r1_pipeline.rewards.answer_extraction import boxes
from r1_pipeline.rewards.reward_hacks import reward_hacks, undetected_hacks
from r1_pipeline.rewards.verifier import Grader, verdict

ADDS = "def f(x):\n    return x + 1"


class AnyBox:
    """Accepts any box with the reference, which is the mistake that the probes must detect."""

    name, version = "any-box", "1"

    def judge(self, problem, final):
        return verdict(self, Outcome.CORRECT if problem.answer in boxes(final) else Outcome.WRONG, "")

    def close(self):
        pass


@pytest.mark.parametrize("template", ["zero", "chat"])
def test_no_hack_of_any_domain_is_rewarded(template, grader, problem):
    problems = [
        problem("12"), problem("\\frac{1}{2}", language="zh"), problem("B", "stem"),
        problem("0"), problem("0.5"),  # 00 and 0.50 are right
        problem("北", "logic", language="zh"), problem(ADDS, "code", (("[1]", "2"),)),
    ]  # fmt: skip
    assert undetected_hacks(problems, template, grader) == []


def test_a_verifier_that_takes_any_box_lets_spray_and_repetition_through(problem):
    found = undetected_hacks([problem("12")], "chat", Grader({"math": AnyBox()}))
    assert [escape.probe for escape in found] == ["answer_spray", "repeated_boxes"]
    assert found[0].values["accuracy"] == 1.0


def test_an_honest_reply_that_is_not_rewarded_shows_too(grader, problem):
    (found,) = undetected_hacks([problem(ADDS, "code", (("[1]", "3"),))], "chat", grader)
    assert (found.probe, found.values["accuracy"]) == ("honest", 0.0)


def test_every_hack_differs_from_the_honest_reply(problem):
    for template in ("zero", "chat"):
        texts = [probe.text for probe in reward_hacks(problem("12"), template)]
        assert len(set(texts)) == len(texts) == 6
