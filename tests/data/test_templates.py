"""Prompts are rendered as written down here; replies are split the way graders rely on."""

import jinja2
import pytest

from r1_pipeline.data.templates import (
    CHAT_TEMPLATE,
    PREAMBLE,
    SplitReply,
    render,
    reply,
    solution,
    split_reply,
    summarize,
    template_hash,
)


def test_chat_is_the_dialogue_and_zero_puts_the_preamble_before_it() -> None:
    assert render("chat", "2 + 2?") == "User: 2 + 2?\nAssistant:"
    assert render("zero", "2 + 2?") == PREAMBLE + "User: 2 + 2?\nAssistant:"


def test_the_tokenizers_chat_template_renders_the_same_text() -> None:
    template = jinja2.Environment(autoescape=False).from_string(CHAT_TEMPLATE)
    user = {"role": "user", "content": "2 + 2?"}
    assert template.render(messages=[user], add_generation_prompt=True, eos_token="</s>") == render("chat", "2 + 2?")
    answered = [user, {"role": "assistant", "content": "4"}]
    assert template.render(messages=answered, eos_token="</s>") == "User: 2 + 2?\nAssistant:4</s>\n"


def test_a_solution_is_split_into_what_it_was_made_of() -> None:
    assert split_reply("zero", solution("zero", "2 and 2", "4")) == SplitReply(reasoning="2 and 2", final="4")
    assert split_reply("chat", reply("2 and 2", "It is 4.")) == SplitReply(reasoning="2 and 2", final="It is 4.")


@pytest.mark.parametrize(
    ("text", "reasoning", "final"),
    [
        ("easy <answer>4</answer>", "easy", "4"),
        ("<think>a</think> 4", "a", None),
        ("<think>a</think> <answer>4", "a", None),
        ("<think>a</think> <answer>4</answer> <answer>5</answer>", "a", None),
        ("<think>a</think> <answer>4</answer> <answer> 4 </answer>", "a", "4"),
        ("", None, None),
    ],
)
def test_an_untidy_zero_reply_has_an_answer_only_between_answer_tags(
    text: str, reasoning: str | None, final: str | None
) -> None:
    assert split_reply("zero", text) == SplitReply(reasoning=reasoning, final=final)


@pytest.mark.parametrize(
    ("text", "reasoning", "final"),
    [
        ("Hello Ann!", None, "Hello Ann!"),
        ("<think>never closed", None, None),
        ("a</think>b", "a", "b"),
        ("<think>a</think>b</think>c", "a</think>b", "c"),
    ],
)
def test_an_untidy_chat_reply_has_its_answer_after_the_last_thought(
    text: str, reasoning: str | None, final: str | None
) -> None:
    assert split_reply("chat", text) == SplitReply(reasoning=reasoning, final=final)


def test_summaries_state_the_answer_in_the_form_of_their_domain() -> None:
    assert summarize("math", "4") == r"\boxed{4}"
    assert summarize("code", "def f(x): return x") == "```python\ndef f(x): return x\n```"
    assert summarize("general", "Hello!") == "Hello!"


def test_templates_are_told_apart_by_their_hash() -> None:
    assert template_hash("zero") != template_hash("chat")
    assert len(template_hash("zero")) == 16
