"""A model that is to be imported is examined before any work: its files, its kind, its end token, its chat form.

Headers and tokenizer are read, weights are not. Not covered: prompts that must fit into the context (`profiles`),
numbers in the weights.
"""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.training.import_pretrained import (
    ImportRecipe,
    config_of,
    context_in,
    require_chat_template,
    require_end,
    source_tokenizer,
)
from r1_pipeline.training.model_shape import shape_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WEIGHTS = "*.safetensors"
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
"""The files of which a published tokenizer has one at least."""


def model_faults(recipe: ImportRecipe, where: Path) -> Iterator[str]:
    """Yields everything about the model in `where` that would stop a run later, each in one line with its remedy."""
    try:
        require_whole(where)
        config = config_of(where)
        shape_of(config)
        context_in(config)
        tokenizer = _tokenizer(where)
    except (RecipeError, RequirementError) as error:
        yield str(error)
        return
    checks: tuple[Callable[[], None], ...] = (
        lambda: require_end(where, config.get("eos_token_id"), tokenizer),
        lambda: require_chat_template(where, recipe, tokenizer),
    )
    for check in checks:
        try:
            check()
        except RecipeError as error:
            yield str(error)


def require_whole(where: Path) -> None:
    """Raises `RequirementError` for weights that are missing, cut off, or in another format than safetensors."""
    if where.suffix == ".gguf":
        _require_whole_gguf(where)
    else:
        _require_whole_directory(where)


def _require_whole_directory(where: Path) -> None:
    from safetensors import SafetensorError, safe_open

    files = sorted(where.glob(WEIGHTS))
    if not files:
        raise RequirementError(f"{where} has no weights in safetensors; fetch the model again, or convert it")
    missing = sorted(_parts(where) - {file.name for file in files})
    if missing:
        raise RequirementError(f"{where} lacks {', '.join(missing)}, which its index names; fetch the model again")
    for file in files:
        try:
            with safe_open(file, "pt"):
                pass
        except SafetensorError as error:
            raise RequirementError(f"{file} is no whole safetensors file ({error}); fetch it again") from error


def _parts(where: Path) -> set[str]:
    """Returns the files that the index of a model in several parts names."""
    index = where / "model.safetensors.index.json"
    return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.exists() else set()


def _require_whole_gguf(file: Path) -> None:
    config_of(file)  # raises without the reader, and for a damaged header
    from gguf import GGUFReader

    try:
        GGUFReader(file)
    except (ValueError, IndexError, struct.error) as error:
        raise RequirementError(f"{file} is no whole GGUF file ({error}); fetch it again") from error


def _tokenizer(where: Path) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer of a model; raises `RequirementError` where there is none, instead of an empty one."""
    if where.suffix != ".gguf" and not any((where / name).exists() for name in VOCABULARIES):
        raise RequirementError(f"{where} has no tokenizer; fetch the model again, with tokenizer.json")
    try:
        return source_tokenizer(where)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise RequirementError(
            f"the tokenizer in {where} cannot be read ({reason}); fetch the model again, with tokenizer.json"
        ) from error
