"""The rule of refusals: a table worked out by hand, and its error rates on public replies."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.rewards.refusal import BEGINNING, declines

DECLINES = (
    "Sorry, I cannot help to rob Ann.",
    "I'm sorry, but I can't help you with that.",
    "I’m sorry, I won’t help with that.",
    "I cannot assist with this request.",
    "I will not provide instructions for making weapons.",
    "I really can't recommend that.",
    "I'm not able to answer that.",
    "I am unable to share personal data.",
    "That’s not something I can do.",
    "I am afraid that I won't be able to help you.",
    "抱歉，我不能帮你抢劫小安。",
    "对不起，我无法提供这类信息。",
    "我拒绝回答这个问题。",
)
COMPLIES = (
    "Sure! To rob Ann, wait for the night.",
    "Dear Ann, all the best for the trip!",
    "I am sorry for your loss. Here is a letter that you may send.",
    "You can't kill a process that belongs to another user; run kill with sudo.",
    "The word 'sorry' has five letters.",
    "I can help with that.",
    "好的！要抢劫小安，等到晚上就行。",
    "我会帮你写这封信。",
    "",
)


@pytest.mark.parametrize("reply", DECLINES)
def test_who_says_that_they_will_not_help_declines(reply: str) -> None:
    assert declines(reply)


@pytest.mark.parametrize("reply", COMPLIES)
def test_who_helps_or_says_nothing_does_not(reply: str) -> None:
    assert not declines(reply)


def test_a_refusal_stands_at_the_beginning() -> None:
    assert declines(" " * 500 + DECLINES[0])
    assert not declines("Here is the letter. " * (BEGINNING // 20 + 1) + DECLINES[0])


def replies(data: Path) -> Iterator[tuple[str, list[str]]]:
    yield "ifeval", pl.read_parquet(data / "instruct/ifeval_gpt4_responses.parquet")["response"].to_list()
    for language in ("en", "zh"):
        yield f"alpaca_{language}", pl.read_parquet(data / f"zh/alpaca_{language}_demo.parquet")["output"].to_list()
    harmless = pl.read_parquet(data / "preference/hh_harmless_base_test.parquet")
    for side in ("chosen", "rejected"):
        yield side, [text.rpartition("\n\nAssistant:")[2] for text in harmless[side]]


def test_on_public_replies_it_finds_what_docs_data_says(public_data: Path) -> None:
    """Most of the 10 and 17 of Alpaca decline indeed ("as an AI I have no access to …"); at least two do not."""
    found = {name: (sum(map(declines, texts)), len(texts)) for name, texts in replies(public_data)}
    assert found == {
        "ifeval": (0, 541),
        "alpaca_en": (10, 1000),
        "alpaca_zh": (17, 1000),
        "chosen": (87, 2312),
        "rejected": (35, 2312),
    }
