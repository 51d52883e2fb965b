"""This module balances the experts of a mixture: DeepSeek-V3's load balancing without an auxiliary loss.

A router picks experts by score plus a bias, and weighs them by the score alone. After every optimizer step the bias of
an expert that received more tokens than the mean is lowered by `rate`, that of one that received fewer is raised
(DeepSeek-V3, arXiv 2412.19437, section 2.1.2: 0.001, and 0 near the end of pre-training). transformers keeps the bias
as a buffer that no trainer changes. Padding and tokens that are only sampled do not count; the ranks of a run count
together.
"""

from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.training.distributed import all_reduce_sum
from r1_pipeline.training.packing import PACKED_MASK, body_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel, TrainerCallback

BIAS = "e_score_correction_bias"
LOAD = "expert_load_max_over_mean"
"""The metric of imbalance: tokens of the busiest expert over those of the mean one, in the worst layer; 1 is
balanced."""


def routers(model: "Module") -> list["Module"]:
    """Returns the routers of a model whose bias can be changed, layer by layer; none for a dense model.

    A module that transformers calls a router returns logits, weights and the chosen experts of every token.
    """
    named = [module for module in model.modules() if "Router" in type(module).__name__]
    return [module for module in named if BIAS in dict(module.named_buffers(recurse=False))]


def updated_bias(bias: "Tensor", load: "Tensor", rate: float) -> "Tensor":
    """Returns the bias of every expert after a step in which they received `load` tokens; all shapes are (experts,)."""
    return bias + rate * (load.sum() - load * len(load)).sign().to(bias.dtype)


def max_over_mean(load: "Tensor") -> float:
    """Returns the load of the busiest expert as a multiple of the mean load."""
    return int(load.max()) * len(load) / int(load.sum())


def copy_biases(model: "Module", to: "Module") -> None:
    """Copies the routers' biases of one model to another of the same architecture."""
    for ours, theirs in zip(routers(model), routers(to), strict=True):
        getattr(theirs, BIAS).copy_(getattr(ours, BIAS))


class Loads:
    """A counter of the tokens that every expert receives while a model is trained."""

    def __init__(self, model: "PreTrainedModel") -> None:
        import torch

        self.routers = routers(model)
        self.counts = [torch.zeros_like(getattr(router, BIAS), dtype=torch.int64) for router in self.routers]
        self._mask: Tensor | None = None
        body = [body_of(model).register_forward_pre_hook(self._note_mask, with_kwargs=True)] if self.routers else []
        self._hooks = [*body, *(router.register_forward_hook(self._count) for router in self.routers)]

    def close(self) -> None:
        """Removes the hooks from the model."""
        for hook in self._hooks:
            hook.remove()

    def _note_mask(self, body: "Module", _: Any, given: dict[str, Any]) -> None:
        mask = getattr(body, PACKED_MASK, given.get("attention_mask"))
        self._mask = mask.flatten().bool() if mask is not None and mask.dim() == 2 else None

    def _count(self, router: "Module", _: Any, routed: "tuple[Tensor, Tensor, Tensor]") -> None:
        import torch

        if torch.is_grad_enabled():  # else the model samples or is evaluated
            chosen = routed[2] if self._mask is None else routed[2][self._mask]
            count = self.counts[self.routers.index(router)]
            count += torch.bincount(chosen.flatten(), minlength=len(count))


def balancing_callback(model: "PreTrainedModel", rate: float) -> "TrainerCallback":
    """Returns a callback that updates the biases of a model's routers after every step and adds `LOAD` to its log.

    Raises `RecipeError` if biases are to be updated and the model has none. It must be added before `callbacks.watch`.
    """
    from transformers import TrainerCallback

    if rate and not routers(model):
        raise RecipeError(f"{type(model).__name__} has no routers whose bias could move; set expert_bias_rate to 0")

    class Balance(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.loads = Loads(model)
            self.worst: float | None = None

        def on_optimizer_step(self, *_: Any, **__: Any) -> None:
            for router, load in zip(self.loads.routers, self.loads.counts, strict=True):
                bias = getattr(router, BIAS)
                bias.copy_(updated_bias(bias, all_reduce_sum(load), rate))
            self.worst = max(map(max_over_mean, self.loads.counts), default=None)
            for load in self.loads.counts:
                load.zero_()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if self.worst is not None:
                logs[LOAD] = self.worst

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.loads.close()

    return Balance()
