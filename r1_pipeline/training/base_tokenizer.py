"""This module makes the tokenizer that a base model will have, from its recipe alone.

Sets of rows are checked with it before the base exists. Not covered: the base itself (`pretrain`, `import_pretrained`).
"""

from typing import TYPE_CHECKING

from r1_pipeline.data.toy_corpus import toy_texts
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.import_pretrained import ImportRecipe, require_model, source_tokenizer
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def base_tokenizer(recipe: PretrainRecipe | ImportRecipe, runtime: Runtime) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer of the base that `recipe` makes; raises `RequirementError` if a model to import is
    missing."""
    if isinstance(recipe, ImportRecipe):
        tokenizer = source_tokenizer(require_model(recipe.source, runtime))
    else:
        texts = [prompt + reply for prompt, reply in toy_texts(recipe.web)]
        tokenizer = train_tokenizer(texts, recipe.vocabulary, recipe.context)
    tokenizer.split_special_tokens = True
    return tokenizer
