"""The reference of a reinforced policy, from which the KL term counts: refreshed as TRL does it, and carried along.

Not covered: when it is refreshed (`GrpoRecipe.reference_sync_steps`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.training.experts import copy_biases
from r1_pipeline.training.sharding import load_second, save_second

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl import GRPOTrainer


def keep_reference(trainer: "GRPOTrainer") -> "TrainerCallback":
    """Returns a callback that refreshes the reference's routing biases, which TRL leaves out, and carries the reference
    through checkpoints: on resume TRL rebuilds it from the initial policy."""
    from transformers import TrainerCallback

    def checkpoint(args: Any, state: Any) -> Path:
        return Path(args.output_dir) / f"checkpoint-{state.global_step}"

    class KeepReference(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % args.ref_model_sync_steps == 0:
                copy_biases(trainer.model, trainer.ref_model)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            save_second(trainer, trainer.ref_model, checkpoint(args, state))

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step:
                load_second(trainer, trainer.ref_model, checkpoint(args, state))

    return KeepReference()
