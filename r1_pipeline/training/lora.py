"""LoRA: a model is frozen and small adapters of its linear layers are trained, then merged into its weights.

An adapter of rank r adds `alpha / r * B A` to a weight of `outputs x inputs`: A is `r x inputs` and drawn at random, B
is `outputs x r` and zero at first (arXiv 2106.09685). The published model holds the sum, as any other checkpoint does.
TRL's trainers have peft do the work. The output embedding has no adapters, and a mixture of experts has them in its
attention alone.
Not covered: time and memory (`planning.formulas`).
"""

import json
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.recipe import Precision, Recipe, Runtime
from r1_pipeline.training.meta_model import LinearLayers, linear_layers, meta_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Task = Literal["CAUSAL_LM", "SEQ_CLS"]
"""Name that peft has for a language model and a reward model; the scalar head of the second is trained whole."""


class Lora(Recipe):
    """The adapters of a run; the learning rate is that of the recipe which they stand in."""

    rank: int
    """Width of an adapter."""
    alpha: float
    """The adapter's product is scaled by `alpha / rank`."""
    dropout: float = 0.0
    """Share of an adapter's inputs that are left out in training."""
    modules: tuple[str, ...] | None = None
    """Names of the linear layers that are adapted, such as `q_proj`; None adapts all (`linear_layers`)."""

    def model_post_init(self, _: Any) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise RecipeError(
                f"LoRA of rank {self.rank}, alpha {self.alpha:g} and dropout {self.dropout:g}; rank must be at least "
                "1, alpha above 0, dropout from 0 to below 1"
            )
        if self.modules is not None and not self.modules:
            raise RecipeError("LoRA is given no modules to adapt; name some, or leave modules out to adapt all")

    def adapted(self, layers: Collection[LinearLayers]) -> list[LinearLayers]:
        """Selects the linear layers that get an adapter; raises `RecipeError` for a name that none has."""
        names = {layer.name for layer in layers}
        unknown = sorted({*(self.modules or ())} - names)
        if unknown or not names:
            raise RecipeError(
                f"LoRA is to adapt {', '.join(unknown) or 'linear layers'} and the model has "
                f"{'only ' + ', '.join(sorted(names)) if names else 'none'}; choose among these, or train it whole"
            )
        return [layer for layer in layers if self.modules is None or layer.name in self.modules]

    def trainable(self, layers: Collection[LinearLayers]) -> int:
        """Returns the parameters of the adapters of a model: `rank * (inputs + outputs)` for each adapted layer."""
        return sum(self.rank * (layer.inputs + layer.outputs) * layer.count for layer in self.adapted(layers))


class Adaptable(Protocol):
    """A training recipe that may use LoRA."""

    @property
    def lora(self) -> Lora | None:
        """The adapters; None trains all weights."""

    @property
    def precision(self) -> Precision:
        """Number format of the matrix products."""


def require_trainable(recipe: Adaptable, expert_bias_rate: float = 0.0) -> None:
    """Raises `RecipeError` for a recipe whose other fields cannot hold with LoRA."""
    if recipe.lora is None:
        return
    if recipe.precision == "float8":
        raise RecipeError("LoRA's adapters have no FP8 products; set precision to bfloat16, or lora to None")
    if expert_bias_rate:
        raise RecipeError("LoRA freezes the routers and their biases; set expert_bias_rate to 0, or lora to None")


def require_lora(runtime: Runtime) -> None:
    """Raises `RequirementError` where peft is missing, or the ranks share the model in a way that was not tried."""
    if runtime.launcher.keeps == "zero3":
        raise RequirementError("LoRA was not tried with zero3; set the launcher's sharding to ddp or fsdp2")
    try:
        metadata.version("peft")
    except metadata.PackageNotFoundError:
        raise RequirementError("LoRA needs peft; install it: pip install 'r1-pipeline[train]'") from None


def adapter_arguments(lora: Lora | None, model: Path, task: Task, runtime: Runtime) -> dict[str, Any]:
    """Returns the arguments with which a TRL trainer adapts the model in a directory; none without LoRA.

    Raises `RequirementError` like `require_lora`, `RecipeError` for modules that the model lacks.
    """
    if lora is None:
        return {}
    require_lora(runtime)
    from peft import LoraConfig

    names = sorted({layer.name for layer in lora.adapted(layers_in(model))})
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names, task_type=task
    )
    return {"peft_config": config}


def layers_in(model: Path) -> tuple[LinearLayers, ...]:
    """Lists the linear layers of the checkpoint in a directory, from its configuration."""
    return linear_layers(meta_model(_config(model)))


def lora_statistics(lora: Lora | None, model: Path, task: Task) -> dict[str, Any]:
    """Returns the manifest's entry on the adapters merged into the model in a directory; nothing without LoRA."""
    if lora is None:
        return {}
    layers = layers_in(model)
    head = _config(model)["hidden_size"] if task == "SEQ_CLS" else 0
    return {
        "lora": {
            **lora.model_dump(),
            "modules": sorted({layer.name for layer in lora.adapted(layers)}),
            "trainable_parameters": lora.trainable(layers) + head,
        }
    }


def _config(model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return found


def merged(model: Any, gathered: "Mapping[str, Tensor] | None") -> "PreTrainedModel":
    """Returns a trainer's model without adapters: added to its weights, unless these are `gathered` from ranks.

    Raises `ValueError` where an adapter is not finite.
    """
    from accelerate.utils import is_peft_model

    if not is_peft_model(model):
        plain: PreTrainedModel = model
        return plain
    whole: PreTrainedModel = model.merge_and_unload(safe_merge=True) if gathered is None else model.unload()
    return whole


def merged_weights(gathered: "Mapping[str, Tensor]", scaling: float) -> "dict[str, Tensor]":
    """Returns the weights of a model with adapters, gathered from the ranks, with the adapters added and gone."""
    weights = {}
    for name, tensor in gathered.items():
        layer, is_adapted, kind = name.partition(".base_layer.")
        if is_adapted and kind == "weight":
            a, b = (gathered[f"{layer}.lora_{side}.default.weight"] for side in "AB")
            weights[f"{layer}.weight"] = tensor + scaling * b @ a
        elif is_adapted:
            weights[f"{layer}.{kind}"] = tensor
        elif ".lora_" not in name and ".original_module." not in name:
            weights[name.replace(".modules_to_save.default.", ".")] = tensor  # of the head, which is trained whole
    return weights
