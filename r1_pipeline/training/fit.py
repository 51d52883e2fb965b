"""What all trainers share: arguments, resumption, and writing the finished model.

    arguments = common_arguments(draft, runtime, ...) -> SomeConfig(**arguments, ...)
    fit(trainer, draft, total, guards)                   train to the end, from the newest valid checkpoint
    publish(model, tokenizer_of, draft)                  config, weights and tokenizer into the artifact, nothing else

Not covered: what is optimized (`sft`, `grpo`, `reward_model`, `pretrain`).
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.errors import ArtifactError
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.callbacks import Guards, watch
from r1_pipeline.training.checkpoints import newest_valid_checkpoint, step_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def common_arguments(draft: Draft, runtime: Runtime, *, batch: int, save_steps: int, seed: int) -> dict[str, Any]:
    """Trainer arguments that do not depend on the method: batch splitting, float32, step logs, our checkpoints."""
    import torch
    from huggingface_hub import constants

    torch.set_num_threads(runtime.threads)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL reports every trainer over the network, from a thread
    cpu = runtime.device == "cpu"
    micro = micro_batch(batch, runtime)
    return {
        "output_dir": str(draft.scratch),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
        "seed": seed,
        "use_cpu": cpu,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": not cpu,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "save_total_limit": None,  # ours (`prune`): the Trainer rotates by modification time
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would show the last good loss in place of NaN
        "report_to": "none",
        "disable_tqdm": True,
    }


def micro_batch(batch: int, runtime: Runtime) -> int:
    """The largest divisor of the effective batch that fits `runtime.micro_batch`."""
    return next(size for size in range(min(batch, runtime.micro_batch), 0, -1) if batch % size == 0)


def fit(trainer: "Trainer", draft: Draft, total: int, guards: Guards | None = None) -> None:
    """Train to step `total`, from the newest valid checkpoint in `draft.scratch` where there is one."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watch(draft, total, guards or Guards()))
    start = newest_valid_checkpoint(draft.scratch, draft.note)
    draft.rewind(step_of(start) if start else 0)
    if start:
        draft.note(f"resuming from step {step_of(start)} of {total}")
    trainer.train(resume_from_checkpoint=str(start) if start else None)


def publish(model: "PreTrainedModel", tokenizer_of: Path, draft: Draft) -> None:
    """Write the model, and the tokenizer of `tokenizer_of` byte by byte, as a trainer may have changed its own."""
    model.save_pretrained(draft.path)
    copied = [
        shutil.copy2(tokenizer_of / name, draft.path) for name in TOKENIZER_FILES if (tokenizer_of / name).exists()
    ]
    if not copied:
        raise ArtifactError(f"{tokenizer_of} has no tokenizer files; give the directory of a whole model")
