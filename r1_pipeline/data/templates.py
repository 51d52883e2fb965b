"""A prompt form defines the prompt for a question, and the places of reasoning and final answer in the model's reply.

    zero     the structure of the paper's R1-Zero template (table 1) in our own words, then a plain dialogue; the reply
             is `<think>R</think> <answer>A</answer>`
    brief    the same with a preamble of one sentence, for short problems
    chat     the plain dialogue of every later model; the reply is `<think>R</think>` and a summary that holds
             `\\boxed{A}`, a fenced program, or plain text
    boxed    a plain dialogue with the instruction to end with `\\boxed{A}`; the reply has no tags

`own_zero`, `own_chat` and `own_boxed` put the same into the model's own chat template; `own_brief` puts one sentence
there. A name that ends in `_opened` says that the prompt opens `<think>` itself. A recipe file may add to `FORMS`.
Not covered: the chat template of a model (`generation.tokens`), whether a reply is well formed
(`rewards.format_check`) or right (`rewards.verifier`).
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

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

BRIEF = (
    f"The Assistant works step by step within {THINK_OPEN} and {THINK_CLOSE} and then puts the result into "
    f"{ANSWER_OPEN} and {ANSWER_CLOSE}.\n"
)
"""The text that `brief` puts before the dialogue."""

OWN_BRIEF = f"Reply with {THINK_OPEN}your reasoning{THINK_CLOSE} {ANSWER_OPEN}your answer{ANSWER_CLOSE}."
"""The instruction that `own_brief` puts after the question."""

BOXED = "Think step by step, and put your final answer into \\boxed{}."
"""The instruction that `boxed` puts after the question."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}User: {{ message['content'] }}\n"
    "{% else %}Assistant:{{ message['content'] }}{{ eos_token }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""The Jinja form of `chat`, for tokenizers: one user message and the generation prompt give `render("chat", …)`."""


NEXT_TURN = "\nUser:"
"""The text with which a model that continues a plain dialogue begins to speak for the user."""


class SplitReply(Record):
    """A reply split into its parts; a part that cannot be found is None."""

    reasoning: str | None
    final: str | None
    """The final answer: for `zero` the content of the answer tags, for `chat` the whole summary, for `boxed` that of
    the box."""


StopRule = tuple[str, ...] | Literal["form"]
"""Strings that end a reply, or those of the prompt form (`PromptForm.stops`)."""


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
    stops: tuple[str, ...] = ()
    """Strings that end a reply, for recipes that ask for them; one that is a tag of the form stays in the text."""
    own: bool = False
    """True if `render` gives a user's message, which the model's own chat template puts into a dialogue."""
    opened: bool = False
    """True if the prompt ends in `<think>`, which the reply then does not say once more."""

    def ended(self, text: str, stops: Sequence[str]) -> str:
        """Returns `text` up to the first of `stops`, which stays where it is a tag of the form."""
        found = first_stop(text, stops)
        return text if found is None else text[: found.end if found.stop in self.tags else found.start]


class Stopped(NamedTuple):
    """The place of a stop string in a text."""

    start: int
    end: int
    stop: str


def first_stop(text: str, stops: Sequence[str]) -> Stopped | None:
    """Returns the stop string of `text` that is complete first, or None."""
    found = [Stopped(at, at + len(stop), stop) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found, key=lambda each: (each.end, each.start), default=None)


def up_to(text: str, stops: Sequence[str]) -> str:
    """Returns `text` up to and including the first of `stops`; the last token may say more."""
    found = first_stop(text, stops)
    return text if found is None else text[: found.end]


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


def _split_boxed(text: str) -> SplitReply:
    """Splits a reply; the final answer is the content of the boxes, None if they differ, or a fenced program."""
    boxed = _boxes(text)
    if not boxed:
        return SplitReply(reasoning=None, final=text.strip() if _FENCE in text else None)
    found = {content.strip() for content in boxed}
    return SplitReply(reasoning=text.partition(_BOX)[0].strip() or None, final=found.pop() if len(found) == 1 else None)


def _boxes(text: str) -> list[str]:
    """Returns the content of each box, braces matched; a box that is never closed holds nothing."""
    found = []
    for piece in text.split(_BOX)[1:]:
        depth, end = 1, 0
        for end, character in enumerate(piece):  # noqa: B007 - the end of the box is used
            depth += {"{": 1, "}": -1}.get(character, 0)
            if not depth:
                break
        found.append(piece[:end] if not depth else "")
    return found


def _boxed(reasoning: str, final: str) -> str:
    return f"{reasoning}\n{final if _BOX in final or _FENCE in final else f'{_BOX}{final}}}'}"


_BODY = r"(.*\S.*)"
_BOX, _FENCE = "\\boxed{", "```"
_ZERO = PromptForm(
    render=lambda question: PREAMBLE + _dialogue(question),
    solution=lambda reasoning, final: f"{THINK_OPEN}{reasoning}{THINK_CLOSE} {ANSWER_OPEN}{final}{ANSWER_CLOSE}",
    split=_split_zero,
    tags=TAGS,
    whole=re.compile(rf"{THINK_OPEN}{_BODY}{THINK_CLOSE}\s*{ANSWER_OPEN}{_BODY}{ANSWER_CLOSE}", re.DOTALL),
    stops=(ANSWER_CLOSE, NEXT_TURN),
)
_BRIEF = replace(_ZERO, render=lambda question: BRIEF + _dialogue(question))
_CHAT = PromptForm(
    render=_dialogue,
    solution=lambda reasoning, final: f"{THINK_OPEN}{reasoning}{THINK_CLOSE}{final}",
    split=_split_chat,
    tags=(THINK_OPEN, THINK_CLOSE),
    whole=re.compile(rf"{THINK_OPEN}{_BODY}{THINK_CLOSE}{_BODY}", re.DOTALL),
    stops=(NEXT_TURN,),
)
_BOXED = PromptForm(
    render=lambda question: _dialogue(f"{question}\n{BOXED}"),
    solution=_boxed,
    split=_split_boxed,
    tags=(),
    whole=re.compile(r"(?=.*(?:\\boxed\{\s*[^\s}]|```)).*\S.*", re.DOTALL),
    stops=(NEXT_TURN,),
)
_OWN_ZERO = replace(_ZERO, render=lambda question: PREAMBLE + question, own=True, stops=(ANSWER_CLOSE,))
_OWN_CHAT = replace(_CHAT, render=lambda question: question, own=True, stops=())
FORMS = Registry(
    "prompt form",
    {
        "zero": _ZERO,
        "brief": _BRIEF,
        "chat": _CHAT,
        "boxed": _BOXED,
        "own_zero": _OWN_ZERO,
        "own_brief": replace(_OWN_ZERO, render=lambda question: f"{question}\n{OWN_BRIEF}"),
        "own_chat": _OWN_CHAT,
        "own_boxed": replace(_BOXED, render=lambda question: f"{question}\n{BOXED}", own=True, stops=()),
        "zero_opened": replace(_ZERO, opened=True),
        "brief_opened": replace(_BRIEF, opened=True),
        "chat_opened": replace(_CHAT, opened=True),
        "own_zero_opened": replace(_OWN_ZERO, opened=True),
        "own_chat_opened": replace(_OWN_CHAT, opened=True),
    },
)
"""All prompt forms, by name; a recipe file may add its own."""
TemplateName = Annotated[str, AfterValidator(FORMS.valid)]


def render(template: TemplateName, question: str) -> str:
    """Returns the complete prompt for `question`, or the message that the model's own chat template puts into one."""
    form = FORMS[template]
    return form.render(question) + (THINK_OPEN if form.opened and not form.own else "")


def form_identity(template: TemplateName, rule: StopRule) -> dict[str, str]:
    """Returns the inputs of a fingerprint that belong to a form: its hash, and the stop strings that count.

    `zero` and `chat` without stop strings have stood under their names alone.
    """
    known = {} if template in ("zero", "chat") else {"template": template_hash(template)}
    return known | ({"stop": json.dumps(stops_in(template, rule))} if rule == "form" else {})


def stops_in(template: TemplateName, rule: StopRule) -> tuple[str, ...]:
    """Returns the strings that end a reply in this form by this rule."""
    return FORMS[template].stops if rule == "form" else tuple(rule)


def dialogue(turns: Sequence[str]) -> str:
    """Returns a dialogue as one question that renders to it; the first and last of the `turns` are the user's."""
    pairs = zip(("User: {}", "Assistant: {}") * len(turns), turns, strict=False)
    return "\n".join(form.format(turn) for form, turn in pairs).removeprefix("User: ")


def template_hash(template: TemplateName) -> str:
    """Returns 16 hex digits of a hash that changes whenever the template's text does."""
    form = FORMS[template]
    text = render(template, "{question}") + solution(template, "{reasoning}", "{final}")
    text += f" own opened={form.opened}" if form.own else ""
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
