"""This module finds the tokenizer and the context that a base model will have, from its recipe alone.

Sets of rows are checked with it before the base exists. Not covered: the base itself (`pretrain`, `import_pretrained`).
"""

from typing import TYPE_CHECKING

from r1_pipeline.data.templates import CHAT_TEMPLATE
from r1_pipeline.data.toy_corpus import toy_texts
from r1_pipeline.generation.tokens import TOO_LONG_WARNING
from r1_pipeline.recipe import Runtime, fingerprint
from r1_pipeline.training.import_pretrained import (
    ImportRecipe,
    config_of,
    context_in,
    require_model,
    source_tokenizer,
)
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_made: dict[str, "PreTrainedTokenizerBase"] = {}


def base_tokenizer(recipe: PretrainRecipe | ImportRecipe, runtime: Runtime) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer of the base that `recipe` makes, which is made once per process.

    Raises `RequirementError` if a model to import is missing.
    """
    made_from = recipe if isinstance(recipe, ImportRecipe) else [recipe.web, recipe.vocabulary, recipe.context]
    key = fingerprint(made_from)
    if key not in _made:
        _made[key] = _make(recipe, runtime)
    return _made[key]


def base_context(recipe: PretrainRecipe | ImportRecipe, runtime: Runtime) -> int:
    """Returns the number of positions of the base that `recipe` makes; raises like `base_tokenizer`."""
    if isinstance(recipe, PretrainRecipe):
        return recipe.context
    return context_in(config_of(require_model(recipe.source, runtime)))


def _make(recipe: PretrainRecipe | ImportRecipe, runtime: Runtime) -> "PreTrainedTokenizerBase":
    if isinstance(recipe, ImportRecipe):
        tokenizer = source_tokenizer(require_model(recipe.source, runtime))
        if recipe.chat_template == "ours":
            tokenizer.chat_template = CHAT_TEMPLATE
    else:
        texts = [prompt + reply for prompt, reply in toy_texts(recipe.web)]
        tokenizer = train_tokenizer(texts, recipe.vocabulary, recipe.context)
    tokenizer.split_special_tokens = True
    tokenizer.deprecation_warnings[TOO_LONG_WARNING] = True  # rows that are too long are counted by name
    return tokenizer
