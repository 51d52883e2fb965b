"""A prompt form defines the prompt for a question, and the places of reasoning and final answer in the model's reply.

`zero` has the structure of the paper's R1-Zero template (table 1) in our own words; its reply is `<think>R</think>
<answer>A</answer>`. `chat` is the plain dialogue of every later model; its reply is `<think>R</think>` and a summary
that holds `\\boxed{A}`, a fenced program, or plain text. A recipe file may add forms to `FORMS`.
Not covered: whether a reply is well formed (`rewards.format_check`) or right (`rewards.verifier`).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from r1_pipeline.records import DOMAINS, Domain, Record
from r1_pipeline.registry import Registry

if TYPE_CHECKING:
    import polars as pl

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)

PREAMBLE = (
    "Here a User talks with an Assistant. The User poses a problem and the Assistant works it out: it reasons first, "
    "to itself, and only then tells the User its answer. Reasoning and answer each stand in tags of their own, thus: "
    f"{THINK_OPEN} reasoning process here {THINK_CLOSE} {ANSWER_OPEN} answer here {ANSWER_CLOSE}.\n"
)
"""The text that `zero` puts before the dialogue."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}User: {{ message['content'] }}\n"
    "{% else %}Assistant:{{ message['content'] }}{{ eos_token }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""The Jinja form of `chat`, for tokenizers: one user message and the generation prompt give `render("chat", …)`."""


class SplitReply(Record):
    """A reply split into its parts; a part that cannot be found is None."""

    reasoning: str | None
    final: str | None
    """The final answer: for `zero` the content of the answer tags, for `chat` the whole summary."""


@dataclass(frozen=True)
class PromptForm:
    """One form of prompt and reply."""

    render: Callable[[str], str]
    """The function from a question to the complete prompt, which the model's reply follows directly."""
    solution: Callable[[str, str], str]
    """The function from reasoning and final answer to a well-formed reply."""
    split: Callable[[str], SplitReply]
    """Splits a reply into its parts, also one with missing or repeated tags."""
    tags: tuple[str, ...]
    """The tags of a well-formed reply, in order."""
    whole: re.Pattern[str]
    """The pattern that a well-formed reply matches as a whole, apart from surrounding whitespace."""


def _dialogue(question: str) -> str:
    return f"User: {question}\nAssistant:"


def _split_zero(text: str) -> SplitReply:
    """Splits a `zero` reply; the answer is the content of the answer tags, None if there are none or several that
    differ."""
    head, closed, _ = text.rpartition(THINK_CLOSE)
    before, _, _ = text.partition(ANSWER_OPEN)
    return SplitReply(reasoning=_reasoning(head if closed else before), final=_answer(text))


def _split_chat(text: str) -> SplitReply:
    """Splits a `chat` reply at its last `</think>`; a reply without think tags is all answer, one with an unclosed tag
    has none."""
    head, closed, tail = text.rpartition(THINK_CLOSE)
    if not closed:
        return SplitReply(reasoning=None, final=None if THINK_OPEN in text else text.strip())
    return SplitReply(reasoning=_reasoning(head), final=tail.strip())


_BODY = r"(.*\S.*)"
FORMS = Registry(
    "prompt form",
    {
        "zero": PromptForm(
            render=lambda question: PREAMBLE + _dialogue(question),
            solution=lambda reasoning, final: (
                f"{THINK_OPEN}{reasoning}{THINK_CLOSE} {ANSWER_OPEN}{final}{ANSWER_CLOSE}"
            ),
            split=_split_zero,
            tags=TAGS,
            whole=re.compile(rf"{THINK_OPEN}{_BODY}{THINK_CLOSE}\s*{ANSWER_OPEN}{_BODY}{ANSWER_CLOSE}", re.DOTALL),
        ),
        "chat": PromptForm(
            render=_dialogue,
            solution=lambda reasoning, final: f"{THINK_OPEN}{reasoning}{THINK_CLOSE}{final}",
            split=_split_chat,
            tags=(THINK_OPEN, THINK_CLOSE),
            whole=re.compile(rf"{THINK_OPEN}{_BODY}{THINK_CLOSE}{_BODY}", re.DOTALL),
        ),
    },
)
"""All prompt forms, by name; a recipe file may add its own."""
TemplateName = Annotated[str, AfterValidator(FORMS.valid)]


def render(template: TemplateName, question: str) -> str:
    """Returns the complete prompt for `question`; the model's reply follows it directly.

    Raises `UnknownNameError` for a name that is not in `FORMS`.
    """
    return FORMS[template].render(question)


def dialogue(turns: Sequence[str]) -> str:
    """Returns a dialogue as one question that renders to it; the first and last of the `turns` are the user's."""
    pairs = zip(("User: {}", "Assistant: {}") * len(turns), turns, strict=False)
    return "\n".join(form.format(turn) for form, turn in pairs).removeprefix("User: ")


def template_hash(template: TemplateName) -> str:
    """Returns 16 hex digits of a hash that changes whenever the template's text does."""
    text = render(template, "{question}") + solution(template, "{reasoning}", "{final}")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def solution(template: TemplateName, reasoning: str, final: str) -> str:
    """Returns a well-formed reply: `final` goes into the answer tags (`zero`) or is the summary (`chat`)."""
    return FORMS[template].solution(reasoning, final)


def reply(reasoning: str, summary: str) -> str:
    """Returns the chat reply: `<think>reasoning</think>` and the summary."""
    return solution("chat", reasoning, summary)


def summarize(domain: Domain, final: str) -> str:
    """Returns the summary that states `final` as the chat form requires for `domain`."""
    match DOMAINS[domain].summary:
        case "boxed":
            return f"\\boxed{{{final}}}"
        case "fenced":
            return f"```python\n{final}\n```"
        case "plain":
            return final


def split_reply(template: TemplateName, text: str) -> SplitReply:
    """Splits a reply into its parts, also one with missing or repeated tags."""
    return FORMS[template].split(text)


def chat_reasoning(text: "pl.Expr") -> "pl.Expr":
    """Returns an expression for the reasoning that `split_reply` finds in chat replies, for a column of replies."""
    import polars as pl

    head = text.str.extract(f"(?s)^(.*){THINK_CLOSE}")
    inside = head.str.extract(f"(?s)^.*?{THINK_OPEN}(.*)$").str.strip_chars()
    bare = head.str.strip_chars()
    return pl.when(inside.is_not_null()).then(inside).when(bare != "").then(bare)


def _reasoning(text: str) -> str | None:
    return text.partition(THINK_OPEN)[2].strip() if THINK_OPEN in text else text.strip() or None


def _answer(text: str) -> str | None:
    found = {piece.partition(ANSWER_CLOSE)[0].strip() for piece in text.split(ANSWER_OPEN)[1:] if ANSWER_CLOSE in piece}
    return found.pop() if len(found) == 1 else None
