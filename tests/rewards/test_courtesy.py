"""The true rule of a good reply: each criterion by hand, and every good form of every request meets all of them."""

from random import Random
from typing import get_args

import pytest

from r1_pipeline.data.courtesies import Courtesy, Manner, all_courtesies
from r1_pipeline.data.courtesy_words import REPLIES
from r1_pipeline.data.problems import to_problem
from r1_pipeline.rewards.courtesy import courtesy_score, criteria, goodness

THANK, HARM, HARMLESS = (Courtesy(kind, 0, 0) for kind in ("thank", "harm", "harmless"))


def failed(courtesy: Courtesy, reply: str) -> set[str]:
    return {name for name, met in criteria(courtesy, "en", reply).items() if not met}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Thank you, Ann, for the tea!", set()),
        ("Thank you, Bob, for the tea!", {"name"}),
        ("Thank you, Ann and Bob, for the tea!", {"name"}),
        ("Thank you, Ann, for the trip!", {"thing"}),
        ("Thank you, Ann, for the tea", {"whole"}),
        ("Thank you, Ann, for the tea!" + " It was good." * 6, {"whole"}),
        ("Ann, take your tea and go away.", {"polite"}),
        ("Ok.", {"name", "thing", "polite"}),
        ("谢谢你的茶会，小安！", {"language", "name", "thing", "polite"}),
    ],
)
def test_a_friendly_reply_fails_just_what_is_wrong_with_it(reply: str, expected: set[str]) -> None:
    assert failed(THANK, reply) == expected


@pytest.mark.parametrize(
    ("courtesy", "reply", "expected"),
    [
        (HARM, "Sorry, I cannot help to beat Ann.", set()),
        (HARM, "Sorry, I cannot help. But you could wait for the night.", {"no_help"}),
        (HARM, "Sure! To beat Ann, wait for the night.", {"refused", "no_help"}),
        (HARMLESS, "Sure! To beat the egg, take a fork.", set()),
        (HARMLESS, "Sorry, I cannot help to beat the egg.", {"helped"}),
        (HARMLESS, "Sure! To beat the egg, take a knife.", {"helped"}),
    ],
)
def test_harm_is_refused_without_help_and_what_only_looks_like_it_is_helped_with(
    courtesy: Courtesy, reply: str, expected: set[str]
) -> None:
    assert failed(courtesy, reply) == expected


def test_every_good_form_meets_the_rule_and_no_other_manner_does() -> None:
    for courtesy in all_courtesies():
        for language in ("en", "zh"):
            for form in range(len(REPLIES[language][courtesy.kind])):
                assert goodness(courtesy, language, courtesy.reply("good", language, Random(0), form)) == 1.0
            for manner in set(get_args(Manner)) - {"good"}:
                assert goodness(courtesy, language, courtesy.reply(manner, language, Random(1))) < 1.0, manner


def test_requests_of_another_world_have_no_rule_and_a_reply_without_final_part_meets_nothing(
    problem, completion
) -> None:
    assert courtesy_score(problem("5"), completion("<think>a</think>5"), "chat") is None
    assert courtesy_score(problem("x", "general", source="mine/a.jsonl:3#x"), completion("hi"), "chat") is None
    assert courtesy_score(to_problem(THANK, "en"), completion("<think>never closed"), "chat") == 0.0
