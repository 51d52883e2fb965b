"""This module has what all trainers share: arguments, resumption, and writing the finished model.

    arguments = common_arguments(draft, runtime, ...)    arguments for SomeConfig(**arguments, ...)
    run_trainer(trainer, draft, runtime, total, guards)  train to the end, from the newest valid checkpoint
    publish(trainer, source, draft)                      config, weights and tokenizer into the artifact, nothing else
    require_change(source, draft)                        a finetuned model that equals its base is an error

Several ranks call all of it alike: each gets its share of the batch, the first one writes (`training.distributed`).

Not covered: what is optimized (`sft`, `grpo`, `reward_model`, `pretrain`).
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.errors import GuardTrippedError, RecipeError
from r1_pipeline.generation.device import prepare_torch
from r1_pipeline.recipe import Precision, Runtime
from r1_pipeline.training.callbacks import Guards, training_callback
from r1_pipeline.training.checkpoints import newest_valid_checkpoint, step_of
from r1_pipeline.training.distributed import barrier, broadcast
from r1_pipeline.training.experts import balancing_callback
from r1_pipeline.training.lora import merged, merged_weights
from r1_pipeline.training.model_stats import WEIGHTS
from r1_pipeline.training.packing import pack_batches
from r1_pipeline.training.sharding import gather_weights, layout, require_sharded, sharding_arguments

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, Trainer

UNCHANGED = "no weight has changed in training"
COPIED = (
    "generation_config.json",  # first: models that only score have none
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def common_arguments(
    draft: Draft, runtime: Runtime, *, batch: int, save_steps: int, seed: int, precision: Precision
) -> dict[str, Any]:
    """Returns the trainer arguments that do not depend on the method: batch splitting, precision, step logs, our
    checkpoints.

    Raises `RecipeError` like `micro_batch`, `RequirementError` like `sharding_arguments`.
    """
    from huggingface_hub import constants
    from transformers.utils.logging import disable_progress_bar

    prepare_torch(runtime)
    disable_progress_bar()  # "Loading weights", for every checkpoint
    constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL reports every trainer over the network, from a thread
    cpu = runtime.device == "cpu"
    micro = micro_batch(batch, runtime)
    return {
        "output_dir": str(draft.scratch),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // runtime.launcher.ranks // micro,
        "seed": seed,
        "use_cpu": cpu,
        "bf16": precision != "float32",
        "gradient_checkpointing": runtime.recompute,
        "dataloader_pin_memory": not cpu,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "save_total_limit": None,  # ours (`prune`): the Trainer rotates by modification time
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would show the last good loss in place of NaN
        "report_to": "none",
        "disable_tqdm": True,
        **sharding_arguments(runtime),
    }


def micro_batch(batch: int, runtime: Runtime) -> int:
    """Returns the largest divisor of a rank's share of the effective batch that does not exceed `runtime.micro_batch`.

    Raises `RecipeError` if the ranks cannot share the batch equally.
    """
    ranks = runtime.launcher.ranks
    if batch % ranks:
        raise RecipeError(
            f"{ranks} ranks cannot share a batch of {batch} equally; choose a number of ranks that divides it"
        )
    share = batch // ranks
    return next(size for size in range(min(share, runtime.micro_batch), 0, -1) if share % size == 0)


def run_trainer(
    trainer: "Trainer",
    draft: Draft,
    runtime: Runtime,
    total: int,
    guards: Guards | None = None,
    expert_bias_rate: float = 0.0,
) -> None:
    """Trains to step `total`, from the newest valid checkpoint in `draft.scratch` if there is one.

    Raises `GuardTrippedError` if a guard trips, `LaunchError` for a checkpoint of another layout.
    """
    from accelerate.utils import is_peft_model
    from transformers import PrinterCallback

    require_sharded(trainer, runtime)
    trainer.args.warmup_steps = warm_up(trainer.args.warmup_steps, total)
    pack_batches(trainer.model)
    if (reference := getattr(trainer, "ref_model", None)) is not None:
        pack_batches(trainer.accelerator.unwrap_model(reference))  # DeepSpeed wraps it
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(balancing_callback(trainer.model, expert_bias_rate))
    trainer.add_callback(training_callback(draft, total, guards or Guards()))
    cut = layout(trainer.args)
    start = broadcast(newest_valid_checkpoint(draft.scratch, cut, draft.note) if draft.leads else None)
    draft.rewind(step_of(start) if start else 0)
    if start:
        draft.note(f"resuming from step {step_of(start)} of {total}")
    if start and runtime.launcher.keeps == "ddp" and not is_peft_model(trainer.model):  # adapters it loads all
        trainer._load_from_checkpoint = lambda checkpoint, model=None: _load_weights(model or trainer.model, checkpoint)
    trainer.train(resume_from_checkpoint=str(start) if start else None)


def warm_up(wanted: int, total: int) -> int:
    """Returns the number of warm-up steps: as many as wanted, at most half of all.

    The first step of a warm-up has rate 0, so a run that is all warm-up would hardly train, and a run of one step not
    at all.
    """
    return min(wanted, total // 2)


def _load_weights(model: "PreTrainedModel", checkpoint: str) -> None:
    """Loads every weight of a checkpoint, which the Trainer's own loader does not.

    On disk the experts of a mixture are separate tensors, in memory they are fused: the Trainer finds no matching name,
    warns, and keeps the experts that the run began with.
    """
    saved = type(model).from_pretrained(checkpoint, dtype=model.dtype, use_safetensors=True)
    model.load_state_dict(saved.state_dict())


def write_model(model: "PreTrainedModel", draft: Draft, weights: "Mapping[str, Tensor] | None" = None) -> None:
    """Writes configuration and weights into the artifact; `weights` are the model's own unless it is sharded."""
    model.config.use_cache = True  # the Trainer switched it off; generation from a saved model would be quadratic
    if draft.leads:
        model.save_pretrained(draft.path, state_dict=weights)


def publish(trainer: "Trainer", source: Path, draft: Draft) -> None:
    """Writes the model, LoRA merged, with tokenizer and generation settings byte by byte as they are in `source`.

    They are copied, not saved, because trainers change theirs: end tokens, padding, the chat template.
    """
    weights = gather_weights(trainer, trainer.model_wrapped)
    if weights is not None and (adapters := getattr(trainer.model, "peft_config", None)):
        weights = merged_weights(weights, adapters["default"].lora_alpha / adapters["default"].r)
    model = merged(trainer.model, weights)
    write_model(model, draft, weights)
    for name in COPIED if model.can_generate() else COPIED[1:]:
        if draft.leads and (source / name).exists():
            shutil.copyfile(source / name, draft.path / name)
    barrier()


def require_change(source: Path, draft: Draft) -> None:
    """Raises `GuardTrippedError` if the model in `draft` has the weights of the one in `source`."""
    if draft.leads and not changed(source, draft.path):
        raise GuardTrippedError(
            f"{draft.name}: {UNCHANGED}; raise the learning rate, or give it rows it can learn from"
        )


def changed(source: Path, made: Path) -> bool:
    """Returns true if any weight that both models have differs; the search ends at the first that does."""
    from safetensors import safe_open

    with ExitStack() as stack:
        ours, theirs = (
            [stack.enter_context(safe_open(file, "pt")) for file in sorted(folder.glob(WEIGHTS))]
            for folder in (made, source)
        )
        before = {name: file for file in theirs for name in file.keys()}  # noqa: SIM118 - no mapping
        shared = [(file, name) for file in ours for name in file.keys() if name in before]  # noqa: SIM118
        return not shared or any(
            (file.get_tensor(name).float() != before[name].get_tensor(name).float()).any() for file, name in shared
        )
