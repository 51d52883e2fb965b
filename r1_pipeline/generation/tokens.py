"""This module has what a model needs to read text: its tokenizer, its context size, the characters it knows.

A control token that a text spells out (`</s>`, `<|im_end|>`) is text like any other: only the machine ends a reply. The
tags of the templates are ordinary added tokens and keep their meaning everywhere.
Not covered: the treatment of rows that do not fit (the verbs), the limit on unknown characters (`evaluation.gates`).
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from r1_pipeline.data.ingest.rows import DroppedRow, Place
from r1_pipeline.data.templates import TemplateName, render
from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOO_LONG = "too_long"
"""The drop reason of a row that exceeds a model's context."""
ROWS = 1000
"""The number of texts that are tokenized at once."""
CODE_POINTS = 0x110000
_TOO_LONG_WARNING = "sequence-length-is-longer-than-the-specified-maximum"


def load_tokenizer(directory: Path, **options: Any) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer as it was saved, set to read control tokens that a text spells out as text.

    `AutoTokenizer` goes by the model's architecture instead and rebuilds one of its own for Qwen2, with other ids for
    the same text, unless the saved class is generic. Raises `RecipeError` for a tokenizer that cannot distinguish a
    control token from its spelling.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    saved = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8")).get("tokenizer_class")
    generic = saved in ("TokenizersBackend", "PreTrainedTokenizerFast")
    kind = PreTrainedTokenizerFast if generic else AutoTokenizer
    tokenizer = kind.from_pretrained(directory, split_special_tokens=True, **options)
    tokenizer.deprecation_warnings[_TOO_LONG_WARNING] = True  # the verbs measure rows and name them
    unknown = {tokenizer.unk_token_id} - {tokenizer.eos_token_id}
    for token, number in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True):
        if number not in unknown and number in tokenizer(token, add_special_tokens=False)["input_ids"]:
            raise RecipeError(
                f"the tokenizer in {directory} reads {token!r} in a text as the control token itself, so a row could "
                "end a reply; take a base whose vocabulary holds its control tokens apart from its words"
            )
    return tokenizer


def context_of(model: Path) -> int:
    """Returns the number of positions of the model in this directory."""
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(model).max_position_embeddings)


def fitting_problems(
    problems: Sequence[Problem], model: Path, template: TemplateName, reply_tokens: int
) -> tuple[list[Problem], list[DroppedRow]]:
    """Returns the problems that leave room for the longest reply in the model's context, and the others, each in
    order."""
    tokenizer, context = load_tokenizer(model), context_of(model)
    kept: list[Problem] = []
    dropped: list[DroppedRow] = []
    for start in range(0, len(problems), ROWS):
        batch = problems[start : start + ROWS]
        prompts = tokenizer([render(template, problem.question) for problem in batch])["input_ids"]
        for problem, prompt in zip(batch, prompts, strict=True):
            if len(prompt) + reply_tokens <= context:
                kept.append(problem)
            else:
                detail = (
                    f"the prompt has {len(prompt)} tokens, the reply up to {reply_tokens}; the context is {context}"
                )
                dropped.append(Place.of(problem.source).drop(TOO_LONG, detail))
    return kept, dropped


def room_for(model: Path, reply_tokens: int) -> Callable[[str], bool]:
    """Returns a function that tells if a rendered prompt leaves room for the longest reply in the model's context."""
    tokenizer, context = load_tokenizer(model), context_of(model)
    return lambda prompt: len(tokenizer(prompt)["input_ids"]) + reply_tokens <= context


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
