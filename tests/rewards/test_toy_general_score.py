"""The true score of a general reply: each criterion by hand, and every good reply to every request meets them all."""

from random import Random
from typing import get_args

import pytest

from r1_pipeline.data.toy_general import GeneralTask, Manner, all_general_tasks
from r1_pipeline.data.toy_general_words import REPLIES
from r1_pipeline.data.toy_problems import to_problem
from r1_pipeline.rewards.toy_general_score import criteria, general_score, goodness

THANK, HARM, HARMLESS = (GeneralTask(kind, 0, 0) for kind in ("thank", "harm", "harmless"))


def failed(task: GeneralTask, reply: str) -> set[str]:
    return {name for name, met in criteria(task, "en", reply).items() if not met}


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
    ("task", "reply", "expected"),
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
    task: GeneralTask, reply: str, expected: set[str]
) -> None:
    assert failed(task, reply) == expected


def test_every_good_form_meets_the_rule_and_no_other_manner_does() -> None:
    for task in all_general_tasks():
        for language in ("en", "zh"):
            for form in range(len(REPLIES[language][task.kind])):
                assert goodness(task, language, task.reply("good", language, Random(0), form)) == 1.0
            for manner in set(get_args(Manner)) - {"good"}:
                assert goodness(task, language, task.reply(manner, language, Random(1))) < 1.0, manner


def test_requests_of_another_world_have_no_rule_and_a_reply_without_final_part_meets_nothing(
    problem, completion
) -> None:
    assert general_score(problem("5"), completion("<think>a</think>5"), "chat") is None
    assert general_score(problem("x", "general", source="mine/a.jsonl:3#x"), completion("hi"), "chat") is None
    assert general_score(to_problem(THANK, "en"), completion("<think>never closed"), "chat") == 0.0
