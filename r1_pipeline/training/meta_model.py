"""A model without its weights: what transformers builds from a configuration, on torch's meta device.

    meta_model(config)       the modules and the sizes of their tensors, in no memory
    linear_layers(model)     its linear layers that can be adapted, by name and size
    count(config)            all parameters and all linear layers

Exact for every architecture that transformers knows, at the price of importing it. Not covered: how many operations a
token takes (`training.shape`).
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Record

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LinearLayers(Record):
    """The linear layers of a model that share a name and a size."""

    name: str
    """Last part of the module's name, such as `q_proj`."""
    inputs: int
    outputs: int
    count: int
    """How many of them the model has."""


class Counted(Record):
    """What was counted on a meta model."""

    parameters: int
    """All numbers that a checkpoint holds, buffers that are saved included."""
    linears: tuple[LinearLayers, ...]


def meta_model(config: Mapping[str, Any]) -> "PreTrainedModel":
    """The causal language model of a configuration without weights.

    Raises `RecipeError` for an architecture that transformers cannot build one for.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = config["model_type"]
    try:
        built = AutoConfig.for_model(**config)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(built)
    except ValueError as error:  # of its registries: an unknown kind, or one that is no causal language model
        raise RecipeError(f"transformers has no causal language model {kind!r}; take a base that it has") from error
    return model


def linear_layers(model: "PreTrainedModel") -> tuple[LinearLayers, ...]:
    """The linear layers of a model that can be adapted, in its order: all of its body, or of a mixture its attention.

    peft takes the names of a mixture's other layers for its experts, which transformers keeps fused in one tensor.
    """
    from torch.nn import Linear

    mixture = any(weight.dim() == 3 for weight in model.parameters())
    found = Counter(
        (name.rpartition(".")[2], module.in_features, module.out_features)
        for name, module in model.base_model.named_modules()
        if isinstance(module, Linear) and ("attn" in name or not mixture)
    )
    return tuple(
        LinearLayers(name=name, inputs=inputs, outputs=outputs, count=count)
        for (name, inputs, outputs), count in found.items()
    )


def count(config: Mapping[str, Any]) -> Counted:
    """Parameters and linear layers of the model that a configuration describes; raises like `meta_model`."""
    model = meta_model(config)
    tensors = {id(tensor): tensor.numel() for tensor in model.state_dict(keep_vars=True).values()}
    return Counted(parameters=sum(tensors.values()), linears=linear_layers(model))
