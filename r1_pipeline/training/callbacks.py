"""The training callback logs step metrics, enforces guards, and adds checksums to checkpoints.

Every trainer has the same callback. Metrics get our own names, so that reports do not change with the library. A guard
that trips raises `GuardTrippedError` out of the training loop; the last checkpoint stays. Not covered: the required
content of a checkpoint (`training.checkpoints`), the display of metrics (`Draft` and its observer).
"""

import math
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.errors import GuardTrippedError
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.training.checkpoints import prune, write_checksums
from r1_pipeline.training.distributed import barrier
from r1_pipeline.training.dynamic_sampling import REPLACED, SAMPLED
from r1_pipeline.training.experts import LOAD
from r1_pipeline.training.rollouts import MISMATCH
from r1_pipeline.training.sharding import layout

if TYPE_CHECKING:
    from transformers import TrainerCallback

GRADER_ERROR = "outcome/grader_error"
METRICS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "reward": "reward",
    "reward_std": "reward_std",
    "frac_reward_zero_std": "flat_groups",
    "kl": "kl",
    "entropy": "entropy",
    "clip_ratio/region_mean": "clipped",
    "cispo_clip_ratio": "clipped",
    "completions/mean_length": "mean_tokens",
    "completions/clipped_ratio": "truncated",
    "empty_think": "empty_think",
    "value_loss": "value_loss",
    "explained_variance": "explained_variance",
    "num_tokens": "tokens",
    "num_input_tokens_seen": "tokens",
    "mean_token_accuracy": "token_accuracy",
    "accuracy": "pair_accuracy",
    "margin": "margin",
    LOAD: LOAD,
    MISMATCH: "mismatch",
    SAMPLED: "sampled",
    REPLACED: "replaced_groups",
}
"""The library's name of each metric with ours; `rewards/NAME/mean` becomes `reward/NAME`, `outcome/NAME` stays; all
others are dropped."""
WINDOW = 20
"""The number of logged steps over which the share of grader errors is averaged."""
KL_WINDOW = 5
"""The number of logged steps over which the median of the KL is taken."""


class Guards(Recipe):
    """Limits beyond which a run is stopped; None switches a guard off."""

    entropy_floor: float | None = None
    """The minimum entropy, in nats per token; below it the policy has collapsed and no longer explores."""
    kl_ceiling: float | None = None
    """The maximum KL from the reference, in nats per token; above it the policy has run away.

    It applies to the median of the last 5 steps (those before the first count as 0). The estimate (equation 2) is
    unbiased and heavy-tailed: one token that the policy has given up adds e to the power of the difference of the two
    log-probabilities, so one step says little.
    """
    empty_think_ceiling: float | None = None
    """The maximum share of completions with nothing between the think tags; above it the format reward is being
    gamed."""
    grader_error_ceiling: Annotated[float | None, AddedField()] = None
    """The maximum share of answers that the grader failed on, mean of the last 20 steps (those before the first count
    as none)."""


def training_callback(draft: Draft, total: int, guards: Guards) -> "TrainerCallback":
    """Returns a callback that logs to `draft`, enforces `guards` and adds checksums to checkpoints; it must be last."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.mark = time.monotonic()
            self.errors: deque[float] = deque([0.0] * WINDOW, WINDOW)
            self.kl: list[float] = []

        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if "loss" not in logs:  # the closing summary of the whole run
                return
            now = time.monotonic()
            metrics = rename_metrics(logs) | {"seconds": now - self.mark}
            self.mark = now
            if GRADER_ERROR in metrics:
                self.errors.append(metrics[GRADER_ERROR])
            watched = dict(metrics)
            if "kl" in metrics:
                self.kl.append(metrics["kl"])
                watched["kl"] = medians(self.kl)[-1]
            check(guards, state.global_step, watched)
            check_grader(guards, state.global_step, self.errors)
            draft.log(state.global_step, total, metrics)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            barrier()  # every rank writes files of its own
            if draft.leads:
                write_checksums(Path(args.output_dir) / f"checkpoint-{state.global_step}", layout(args))
                prune(Path(args.output_dir))

    return Watch()


def medians(values: Sequence[float]) -> list[float]:
    """Returns after each value the median of the last `KL_WINDOW`, where those before the first count as 0.

    A value that is not finite stays as it is, so that it is noticed at once.
    """
    known = [0.0] * (KL_WINDOW - 1) + list(values)
    return [median(known[at : at + KL_WINDOW]) if math.isfinite(value) else value for at, value in enumerate(values)]


def check(guards: Guards, step: int, metrics: Mapping[str, float]) -> None:
    """Raises `GuardTrippedError` with value and limit if `metrics`, the KL as a median, are beyond a limit."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise GuardTrippedError(f"{name} is {value} at step {step}; lower the learning rate or max_grad_norm")
    for name, limit, sign, remedy in (
        ("entropy", guards.entropy_floor, -1, "the policy has collapsed; lower the learning rate or raise beta"),
        ("kl", guards.kl_ceiling, 1, "the policy ran away from its reference; lower the learning rate or raise beta"),
        ("empty_think", guards.empty_think_ceiling, 1, "replies skip their reasoning; check the format reward"),
    ):
        if limit is not None and name in metrics and sign * metrics[name] > sign * limit:
            side = "above" if sign > 0 else "below"
            raise GuardTrippedError(f"{name} {metrics[name]:.4g} is {side} {limit:.4g} at step {step}; {remedy}")


def check_grader(guards: Guards, step: int, errors: Collection[float]) -> None:
    """Raises `GuardTrippedError` if the grader failed on too many answers of the last steps."""
    share = sum(errors) / len(errors)
    if guards.grader_error_ceiling is not None and share > guards.grader_error_ceiling:
        raise GuardTrippedError(
            f"the grader failed on {share:.2%} of the answers of the last {len(errors)} steps, above "
            f"{guards.grader_error_ceiling:.2%}, at step {step}; grade some of them by hand: r1 grade"
        )


def rename_metrics(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns a trainer's metrics under our names; those that a step did not measure (None) are left out."""
    metrics = {}
    for key, value in logs.items():
        name = key if key.startswith(("outcome/", "weight/")) else METRICS.get(key)
        if key.startswith("rewards/") and key.endswith("/mean"):
            name = "reward/" + key.removeprefix("rewards/").removesuffix("/mean")
        if name is not None and value is not None:
            metrics[name] = float(value)
    return metrics
