"""Format is judged on the whole text: one shape passes, every neighbour of it fails."""

import pytest

from r1_pipeline.data.templates import solution
from r1_pipeline.rewards.format_check import empty_think, is_well_formed, whole_reply

ZERO = "<think>2 plus 3</think> <answer>5</answer>"
CHAT = "<think>2 plus 3</think>\\boxed{5}"


@pytest.mark.parametrize(
    "text",
    [ZERO, f"\n {ZERO} \n", ZERO.replace("> <", "><"), ZERO.replace("> <", ">\n\n<"), solution("zero", "a\nb", "5")],
)
def test_the_zero_form_passes(text):
    assert is_well_formed("zero", text)


@pytest.mark.parametrize(
    "text", [CHAT, f" {CHAT}\n", "<think>a < b > c</think>\n\nIt is 5.", solution("chat", "a", "b")]
)
def test_the_chat_form_passes(text):
    assert is_well_formed("chat", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        ZERO + " and more",
        ZERO + ".",
        "So " + ZERO,
        ZERO + ZERO,
        ZERO + " <answer>5</answer>",
        ZERO + "<answer>",
        ZERO + "</answer>",
        "<think>" + ZERO,
        ZERO.replace("</think> ", "</think> well "),
        "<think>a</think>",
        "<answer>5</answer>",
        "<answer>5</answer> <think>a</think>",
        "<think>a<answer>5</answer></think>",
        "<think>a</think> <answer><answer>5</answer></answer>",
        "<think>a<think>b</think></think> <answer>5</answer>",
        "<think>a</think> <answer>5",
        "<think>a <answer>5</answer>",
        "a</think> <answer>5</answer>",
        "<think></think> <answer>5</answer>",
        "<think> \n </think> <answer>5</answer>",
        "<think>a</think> <answer> </answer>",
        "<think>a</think> <answer></answer>",
        "<think>a</THINK></think> <answer>5</answer>",
        "<think>a< /think ></think> <answer>5</answer>",
        "<think>a</think> <Answer>5</Answer>",
        "<think x='1'>a</think> <answer>5</answer>",
        CHAT,
    ],
)
def test_every_neighbour_of_the_zero_form_fails(text):
    assert not is_well_formed("zero", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\\boxed{5}",
        "<think>a</think>",
        "<think>a</think>   ",
        "<think>a",
        "a</think>5",
        "x" + CHAT,
        CHAT + "<think>",
        CHAT + "</think>",
        CHAT + "<think>b</think>",
        "<think><think>a</think>5",
        "<think></think>5",
        "<think>\n</think>5",
        ZERO,
    ],
)
def test_every_neighbour_of_the_chat_form_fails(text):
    assert not is_well_formed("chat", text)


def test_skipped_reasoning_is_seen_wherever_it_stands():
    assert empty_think("<think></think>5") and empty_think("x <think> \n</think> <answer>5</answer>")
    assert not empty_think(ZERO) and not empty_think("5")


def test_a_megabyte_of_tags_is_judged_in_linear_time():
    assert not is_well_formed("zero", "<think>" * 150_000)
    assert not is_well_formed("chat", "<think>a</think>" + " " * 1_000_000)
    assert not is_well_formed("zero", "<" * 1_000_000)


def test_a_reply_whose_opening_tag_stands_in_the_prompt_is_judged_whole():
    prompt, sampled = "User: 2+3?\nAssistant: <think>\n", "2 plus 3</think>5"  # trl issue 6966: judged 0.0 there
    assert is_well_formed("chat", whole_reply(prompt, sampled))
    assert not is_well_formed("chat", whole_reply("User: 2+3?\nAssistant:", sampled))
    assert not is_well_formed("chat", whole_reply(prompt, CHAT))  # opened twice
    assert not is_well_formed("chat", whole_reply(prompt, "</think>5"))
