"""A model without its weights: what transformers builds from a configuration, on torch's meta device.

    meta_model(config)       the modules and the sizes of their tensors, in no memory
    linear_layers(model)     its linear layers that can be adapted, by name and size
    count_dense(config)      all parameters and all linear layers of a dense transformer
    complete(config)         the configuration with the sizes that a published file leaves out

Exact for every architecture that transformers knows, at the price of importing it. Not covered: how many operations a
token takes (`training.model_shape`).
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Record

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "tie_word_embeddings",
    "vocab_size",
)
"""Sizes that a shape needs of every configuration."""
ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Kinds of layers that keep keys and values of tokens."""


class LinearLayers(Record):
    """The linear layers of a model that share a name and a size."""

    name: str
    """Last part of the module's name, such as `q_proj`."""
    inputs: int
    outputs: int
    count: int
    """Number of such layers in the model."""


class Counted(Record):
    """Sizes that were counted on a meta model."""

    parameters: int
    """All numbers that a checkpoint holds, buffers that are saved included."""
    linears: tuple[LinearLayers, ...]


def meta_model(config: Mapping[str, Any]) -> "PreTrainedModel":
    """Builds the causal language model of a configuration without weights.

    Raises `RecipeError` for an architecture that transformers cannot build one for.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = config["model_type"]
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES or config.get("is_encoder_decoder"):
        raise RecipeError(f"a {kind!r} reads its text in both directions and cannot continue it; take a causal model")
    try:
        built = AutoConfig.for_model(**config)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(built)
    except ValueError as error:  # of its registries: an unknown kind, or one that is no causal language model
        raise RecipeError(f"transformers has no causal language model {kind!r}; take a base that it has") from error
    return model


def linear_layers(model: "PreTrainedModel") -> tuple[LinearLayers, ...]:
    """Lists the linear layers of a model that can be adapted: all in its body, or in the attention of a mixture.

    peft takes the names of a mixture's other layers for its experts, which transformers keeps fused in one tensor.
    """
    from torch.nn import Linear

    mixture = _is_mixture(model)
    found = Counter(
        (name.rpartition(".")[2], module.in_features, module.out_features)
        for name, module in model.base_model.named_modules()
        if isinstance(module, Linear) and ("attn" in name or not mixture)
    )
    return tuple(
        LinearLayers(name=name, inputs=inputs, outputs=outputs, count=count)
        for (name, inputs, outputs), count in found.items()
    )


def count(model: "PreTrainedModel") -> Counted:
    """Counts parameters and linear layers of a model."""
    tensors = {id(tensor): tensor.numel() for tensor in model.state_dict(keep_vars=True).values()}
    return Counted(parameters=sum(tensors.values()), linears=linear_layers(model))


def count_dense(config: Mapping[str, Any]) -> Counted:
    """Counts a dense transformer; raises `RecipeError` with the name of the architecture if it is none."""
    model = meta_model(config)
    others = sorted({*(getattr(model.config, "layer_types", None) or ())} - ATTENTION)
    if others or _is_mixture(model):
        found = f"layers of {', '.join(others)}" if others else "a mixture of experts"
        raise RecipeError(
            f"a {config['model_type']!r} has {found}; take a dense transformer, or DeepSeek-V3 for a mixture"
        )
    return count(model)


def complete(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Adds to a configuration what published files leave out: the defaults of its architecture.

    Raises `RecipeError` for one that lacks the sizes of a transformer.
    """
    if all(name in config for name in (*SIZES, "num_key_value_heads")):
        return config
    from transformers import AutoConfig

    kind = config.get("model_type")
    try:
        built = AutoConfig.for_model(**config)
    except (TypeError, ValueError) as error:  # without a kind, or of one that is not in its registry
        raise RecipeError(f"transformers knows no model {kind!r}; take a base that it knows") from error
    sizes = {name: getattr(built, name, None) for name in SIZES}
    if missing := [name for name, size in sizes.items() if size is None]:
        whole = "; take " + ("its text model" if "text_config" in config else "a dense transformer")
        raise RecipeError(f"a {kind!r} is no transformer of one kind of layer: it has no {', '.join(missing)}{whole}")
    return {**built.to_dict(), **sizes}


def _is_mixture(model: "PreTrainedModel") -> bool:
    """Returns true for a model with experts, which transformers keeps fused in one tensor."""
    return any(weight.dim() == 3 for weight in model.parameters())
