"""This module has what a model needs to read text: its tokenizer, its context size, the characters it knows.

A control token that a text spells out (`</s>`, `<|im_end|>`) is text like any other: only the machine ends a reply. In
the model's own chat template (`PromptForm.own`) control tokens are markup, and a question that spells one is refused.
The tags of the templates are ordinary added tokens and keep their meaning everywhere.
Not covered: the treatment of rows that do not fit (the verbs), the limit on unknown characters (`evaluation.gates`).
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from r1_pipeline.data.ingest.rows import DroppedRow, Place
from r1_pipeline.data.templates import FORMS, THINK_OPEN, TemplateName, render
from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Problem, Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOO_LONG = "too_long"
"""The drop reason of a row that exceeds a model's context."""
MARKUP = "control_token"
"""The drop reason of a row that spells a control token of the chat template that it would be put into."""
SEVERAL_ENDS = "generation-config@1"
"""The version of sampling from a model with several end tokens."""
ROWS = 1000
"""The number of texts that are tokenized at once."""
CODE_POINTS = 0x110000
TOO_LONG_WARNING = "sequence-length-is-longer-than-the-specified-maximum"
"""The name of the warning that transformers gives once about a text beyond the context."""


def load_tokenizer(directory: Path, **options: Any) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer as it was saved, set to read control tokens that a text spells out as text.

    `AutoTokenizer` goes by the model's architecture instead and rebuilds one of its own for Qwen2, with other ids for
    the same text, unless the saved class is generic. Raises `RecipeError` for a tokenizer that cannot distinguish a
    control token from its spelling.
    """
    tokenizer = saved_tokenizer(directory, split_special_tokens=True, **options)
    tokenizer.deprecation_warnings[TOO_LONG_WARNING] = True  # the verbs measure rows and name them
    unknown = {tokenizer.unk_token_id} - {tokenizer.eos_token_id}
    for token, number in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True):
        if number not in unknown and number in tokenizer(token, add_special_tokens=False)["input_ids"]:
            raise RecipeError(
                f"the tokenizer in {directory} reads {token!r} in a text as the control token itself, so a row could "
                "end a reply; take a base whose vocabulary holds its control tokens apart from its words"
            )
    return tokenizer


def saved_tokenizer(directory: Path, **options: Any) -> "PreTrainedTokenizerBase":
    """The tokenizer as it was saved.

    `AutoTokenizer` goes by the model's architecture instead and rebuilds one of its own for Qwen2, with other ids for
    the same text, unless the saved class says so.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    config = directory / "tokenizer_config.json"
    saved = json.loads(config.read_text(encoding="utf-8")).get("tokenizer_class") if config.exists() else None
    generic = saved in ("TokenizersBackend", "PreTrainedTokenizerFast")
    return (PreTrainedTokenizerFast if generic else AutoTokenizer).from_pretrained(directory, **options)


def end_tokens(model: Path, tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """Returns the tokens that end a reply of the model in this directory: its tokenizer's end token, and all that its
    generation settings name, such as the end of a turn."""
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *_named_ends(model)]))


def ends_identity(model: Path) -> dict[str, str]:
    """Returns the entry of a fingerprint for replies that end at several tokens; nothing for a model with one."""
    return {"ends": SEVERAL_ENDS} if len(set(_named_ends(model))) > 1 else {}


def _named_ends(model: Path) -> list[int]:
    """Returns the end tokens in the generation settings of a model."""
    file = model / "generation_config.json"
    named = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.exists() else None
    return named if isinstance(named, list) else [] if named is None else [named]


def prompt_in(template: TemplateName, question: str, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Returns the prompt for `question` in this form, for a model with this tokenizer; raises like `own_prompt`."""
    form, said = FORMS[template], render(template, question)
    return own_prompt(said, tokenizer, opened=form.opened) if form.own else said


def own_prompt(message: str, tokenizer: "PreTrainedTokenizerBase", *, opened: bool) -> str:
    """Returns a user's message in the model's own chat template, up to the reply, which may begin within `<think>`.

    A first control token that the tokenizer puts before every text is left to it. Raises `RecipeError` for a model
    without a chat template, and for a message that spells a control token.
    """
    if not tokenizer.chat_template:
        raise RecipeError(
            f"the model in {tokenizer.name_or_path} has no chat template of its own; take a prompt form that brings "
            "its dialogue (zero, chat, boxed), or a model that has one"
        )
    if spelled := control_token(message, tokenizer):
        raise RecipeError(f"the message spells the control token {spelled!r} of the model's chat template; drop it")
    asked = [{"role": "user", "content": message}]
    prompt = str(tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True))
    first = tokenizer("")["input_ids"][:1]
    if first and first[0] == tokenizer.bos_token_id:
        prompt = prompt.removeprefix(tokenizer.bos_token)
    return prompt + THINK_OPEN if opened and not prompt.rstrip().endswith(THINK_OPEN) else prompt


def control_token(text: str, tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Returns the control token that a text spells out, or None."""
    return next((token for token in tokenizer.all_special_tokens if token in text), None)


def encode(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], *, own: bool) -> list[list[int]]:
    """Returns the token ids of rendered prompts; `own`: control tokens are markup of the model's chat template."""
    found = tokenizer(list(prompts), return_token_type_ids=False, split_special_tokens=not own)["input_ids"]
    return [list(ids) for ids in found]


def asked_prompts(
    requests: Sequence[Request], tokenizer: "PreTrainedTokenizerBase"
) -> tuple[list[str], list[list[int]]]:
    """Returns the prompts as a model with this tokenizer reads them, and their token ids; raises like `own_prompt`."""
    texts = [own_prompt(each.prompt, tokenizer, opened=each.opened) if each.own else each.prompt for each in requests]
    ids: list[list[int]] = [[]] * len(requests)
    for own in (False, True):
        rows = [row for row, each in enumerate(requests) if each.own == own]
        for row, found in zip(
            rows, encode(tokenizer, [texts[row] for row in rows], own=own) if rows else (), strict=True
        ):
            ids[row] = found
    return texts, ids


def context_of(model: Path) -> int:
    """Returns the number of positions of the model in this directory."""
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(model).max_position_embeddings)


@dataclass(frozen=True)
class Room:
    """The room that a model's context leaves for a question in a prompt form and the longest reply to it."""

    tokenizer: "PreTrainedTokenizerBase"
    context: int
    """The number of positions of the model."""
    template: TemplateName
    reply_tokens: int

    @property
    def least(self) -> int:
        """The number of tokens of the prompt around the shortest question; raises `RecipeError` if the model lacks the
        form."""
        own = FORMS[self.template].own
        return len(encode(self.tokenizer, [prompt_in(self.template, "?", self.tokenizer)], own=own)[0])

    def split(self, problems: Sequence[Problem]) -> tuple[list[Problem], list[DroppedRow]]:
        """Returns the problems that fit, and the others, each in order; raises `RecipeError` if the model lacks the
        form."""
        kept: list[Problem] = []
        dropped: list[DroppedRow] = []
        for start in range(0, len(problems), ROWS):
            batch = []
            for problem in problems[start : start + ROWS]:
                if fault := self._markup(problem):
                    dropped.append(fault)
                else:
                    batch.append(problem)
            prompts = [prompt_in(self.template, each.question, self.tokenizer) for each in batch]
            read = encode(self.tokenizer, prompts, own=FORMS[self.template].own) if batch else []
            for problem, prompt in zip(batch, read, strict=True):
                if len(prompt) + self.reply_tokens <= self.context:
                    kept.append(problem)
                else:
                    dropped.append(Place.of(problem.source).drop(TOO_LONG, self._too_long(len(prompt))))
        return kept, dropped

    def _markup(self, problem: Problem) -> DroppedRow | None:
        asked = render(self.template, problem.question)
        if not FORMS[self.template].own or not (spelled := control_token(asked, self.tokenizer)):
            return None
        detail = f"the question spells {spelled!r}, a control token of the model's chat template"
        return Place.of(problem.source).drop(MARKUP, detail)

    def _too_long(self, prompt: int) -> str:
        return f"the prompt has {prompt} tokens, the reply up to {self.reply_tokens}; the context is {self.context}"


def room_in(model: Path, template: TemplateName, reply_tokens: int) -> Room:
    """Returns the room in the model in this directory.

    Raises `RecipeError` if the model lacks the form, or has no room for any question in it.
    """
    room = Room(load_tokenizer(model), context_of(model), template, reply_tokens)
    require_room(room, str(model))
    return room


def require_room(room: Room, model: str) -> None:
    """Raises `RecipeError` if a model lacks the prompt form, or has no room for any question in it."""
    if room.least + room.reply_tokens > room.context:
        raise RecipeError(
            f"the prompt form {room.template!r} takes {room.least} tokens around any question and the reply up to "
            f"{room.reply_tokens}, the context of {model} is {room.context}; take a shorter form, a shorter reply or "
            "another base"
        )


def fitting_problems(
    problems: Sequence[Problem], model: Path, template: TemplateName, reply_tokens: int
) -> tuple[list[Problem], list[DroppedRow]]:
    """Returns the problems that leave room for the longest reply in the model's context, and the others, each in order.

    Raises `RecipeError` like `room_in`.
    """
    return room_in(model, template, reply_tokens).split(problems)


def room_for(model: Path, reply_tokens: int) -> Callable[[Request], bool]:
    """Returns a function that tells if a request leaves room for the longest reply in the model's context, and spells
    no control token where those are markup."""
    tokenizer, context = load_tokenizer(model), context_of(model)

    def fits(request: Request) -> bool:
        if request.own and control_token(request.prompt, tokenizer):
            return False
        return len(asked_prompts([request], tokenizer)[1][0]) + reply_tokens <= context

    return fits


def tokenize_with(model: Path) -> Callable[[str], list[int]]:
    """Returns a function from a text to its token ids under the tokenizer of the model in this directory."""
    tokenizer = load_tokenizer(model)
    return lambda text: list(tokenizer(text)["input_ids"])


def character_counts(texts: Iterable[str]) -> dict[str, int]:
    """Returns the number of occurrences of each character in `texts`, the most frequent first."""
    counts = np.zeros(CODE_POINTS, dtype=np.int64)
    for text in texts:
        found = np.bincount(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32))
        counts[: len(found)] += found
    codes = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], code))
    return {chr(code): int(counts[code]) for code in codes}


def unknown_characters(found: Iterable[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Returns those of these characters that a model cannot see, since the tokenizer has only control tokens for them.

    White space may have no token.
    """
    control = set(tokenizer.all_special_ids)

    def seen(character: str) -> bool:
        ids = tokenizer(character, add_special_tokens=False)["input_ids"]
        return not control & set(ids) and bool(ids or character.isspace())

    return [character for character in found if not seen(character)]
