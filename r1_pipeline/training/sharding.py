"""Sharding is how the ranks of a run share its model: arguments of transformers' trainers, and the gathered model.

    ddp     every rank has all of it                                      torch's DistributedDataParallel
    fsdp2   parameters, gradients and optimizer sharded, layer by layer   torch's fully_shard, through accelerate
    zero3   the same, by DeepSpeed                                        needs its package

Checkpoints of the last two hold shards, one file for each rank, under the names that the model has in memory.
"""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RequirementError
from r1_pipeline.recipe import Runtime

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import Trainer, TrainingArguments

FSDP2: Mapping[str, Any] = {
    "version": 2,
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",  # the layers that a model calls unsplittable
    "reshard_after_forward": True,
    "state_dict_type": "SHARDED_STATE_DICT",
}
"""The value of `TrainingArguments.fsdp_config`, whose keys are accelerate's without their prefix `fsdp_`."""

ZERO3: Mapping[str, Any] = {
    "zero_optimization": {
        "stage": 3,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        "stage3_gather_16bit_weights_on_model_save": True,  # all weights of any width, for `gather_weights`
    },
    "bf16": {"enabled": "auto"},
    "gradient_clipping": "auto",
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
}
"""The value of `TrainingArguments.deepspeed`, DeepSpeed's own configuration; `auto` is filled in from the other
arguments."""


SECOND, SECOND_INDEX = "reference.safetensors", 1
"""The file of a second model in a checkpoint: whole, or as the shards `pytorch_model_fsdp_1`."""

ADAPTED = "base_model.model."
"""Prefix that peft gives to the names of the weights of a model with adapters, also once they are merged."""


def sharding_arguments(runtime: Runtime) -> dict[str, Any]:
    """Returns arguments of the trainer; raises `RequirementError` if DeepSpeed is requested and cannot work."""
    keeps = runtime.launcher.keeps
    if keeps == "fsdp2":  # it recomputes activations itself
        config = {**FSDP2, "activation_checkpointing": runtime.recompute}
        return {"fsdp": True, "fsdp_config": config, "gradient_checkpointing": False}
    if keeps == "zero3":
        try:
            metadata.version("deepspeed")
        except metadata.PackageNotFoundError:
            raise RequirementError("ZeRO-3 needs DeepSpeed; install the extra deepspeed, or use fsdp2") from None
        from accelerate.utils import parse_flag_from_env

        if runtime.device == "cpu" and not parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
            raise RequirementError("transformers supports DeepSpeed on accelerators only; train with ddp on a CPU")
        return {"deepspeed": {**ZERO3}}
    return {}


def require_sharded(trainer: "Trainer", runtime: Runtime) -> None:
    """Raises `RequirementError` if a trainer that is configured to shard would silently not do so."""
    if runtime.launcher.keeps == "fsdp2" and not trainer.is_fsdp_enabled:
        raise RequirementError("accelerate shards models on accelerators only; train with ddp on a CPU")


def layout(arguments: "TrainingArguments") -> str:
    """Returns the layout of a run's checkpoints, such as `fsdp2 on 8 rank(s)`; only a run of the same layout can read
    them."""
    keeps = "fsdp2" if arguments.fsdp else "zero3" if arguments.deepspeed else "ddp"
    return f"{keeps} on {arguments.world_size} rank(s)"


def gather_weights(trainer: "Trainer", model: "Module") -> "Mapping[str, Tensor] | None":
    """Returns all weights of a model of this trainer, gathered on the first rank; None if the model is not sharded.

    Every rank must call it.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        weights: Mapping[str, Tensor] = trainer.accelerator.get_state_dict(model) or {}  # DeepSpeed gives others None
        weights = {name.removeprefix(ADAPTED): tensor for name, tensor in weights.items()}
        tied = trainer.model.all_tied_weights_keys  # once gathered, nothing shows that they are another's
        return {name: tensor for name, tensor in weights.items() if name not in tied}
    return None


def save_second(trainer: "Trainer", model: "Module", checkpoint: Path) -> None:
    """Adds to a checkpoint the weights of a second model of the trainer; every rank must call it."""
    if trainer.is_fsdp_enabled:
        from accelerate.utils import save_fsdp_model

        save_fsdp_model(trainer.accelerator.state.fsdp_plugin, trainer.accelerator, model, checkpoint, SECOND_INDEX)
    elif trainer.is_deepspeed_enabled:
        from safetensors.torch import save_file

        if weights := gather_weights(trainer, model):
            save_file(dict(weights), checkpoint / SECOND)
    elif trainer.is_world_process_zero():
        from safetensors.torch import save_model

        save_model(model, str(checkpoint / SECOND))


def load_second(trainer: "Trainer", model: "Module", checkpoint: Path) -> None:
    """Loads a second model that `save_second` has saved; every rank must call it."""
    if trainer.is_fsdp_enabled:
        from accelerate.utils import load_fsdp_model

        load_fsdp_model(trainer.accelerator.state.fsdp_plugin, trainer.accelerator, model, checkpoint, SECOND_INDEX)
        return
    from safetensors.torch import load_model

    if trainer.is_deepspeed_enabled:
        from deepspeed import zero

        model = trainer.accelerator.unwrap_model(model)
        with zero.GatheredParameters(list(model.parameters()), modifier_rank=0):
            if trainer.is_world_process_zero():
                load_model(model, checkpoint / SECOND)
    else:
        load_model(model, checkpoint / SECOND)
