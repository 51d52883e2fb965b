"""The precision is the number format of the matrix products of training; weights, gradients and optimizer stay in
float32.

    float32    everything
    bfloat16   autocast by the Trainer
    float8     bfloat16 autocast, and linear layers in FP8 with dynamic scales per row by torchao, whose weights and
               checkpoints are those of the plain model

FP8 needs tensor cores that support it and dimensions divisible by 16. It does not cover the embedding, the head,
routers, and the routed experts of a mixture, which transformers keeps fused in one tensor and torchao does not see.
"""

from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RequirementError
from r1_pipeline.recipe import Precision

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel

FP8_CAPABILITY = (8, 9)
"""The lowest CUDA compute capability with FP8 tensor cores: Ada and Hopper."""
FP8_MULTIPLE = 16
"""The divisor that the dimensions of an FP8 matrix product must have."""


def require_precision(precision: Precision, device: str) -> None:
    """Raises `RequirementError` if `device` cannot train in `precision`."""
    import torch

    if precision == "float8":
        if not device.startswith("cuda"):
            raise RequirementError(f"FP8 training needs an NVIDIA GPU, the device is {device}; use bfloat16 or float32")
        found = torch.cuda.get_device_capability(device)
        if found < FP8_CAPABILITY:
            raise RequirementError(
                f"FP8 needs compute capability 8.9, {device} has {found[0]}.{found[1]}; use bfloat16"
            )
        try:
            metadata.version("torchao")
        except metadata.PackageNotFoundError:
            raise RequirementError("FP8 training needs torchao; install it: pip install 'r1-pipeline[fp8]'") from None
    if precision == "bfloat16" and device.startswith("cuda") and not torch.cuda.is_bf16_supported():
        raise RequirementError(f"{device} has no bfloat16; use float32")


def with_precision(model: "PreTrainedModel", precision: Precision, device: str) -> "PreTrainedModel":
    """Returns `model` prepared for training in `precision` on `device`; raises like `require_precision`."""
    require_precision(precision, device)
    if precision == "float8":
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training

        recipe = Float8LinearConfig.from_recipe_name("rowwise")
        convert_to_float8_training(model, config=recipe, module_filter_fn=_fits_fp8)
    return model


def casting_once(generate: Callable[..., Any], precision: Precision, device: str) -> Callable[..., Any]:
    """Returns a model's `generate` that makes the 16-bit copies of its weights once and not for every token.

    The Trainer's autocast forgets them at the end of each forward pass.
    """

    def casting(**inputs: Any) -> Any:
        import torch

        with torch.autocast(torch.device(device).type, torch.bfloat16):
            return generate(**inputs)

    return generate if precision == "float32" else casting


def _fits_fp8(module: "Module", name: str) -> bool:
    """Returns true if a linear layer can run in FP8."""
    sizes: list[Any] = list(module.weight.shape)
    return "lm_head" not in name and all(size % FP8_MULTIPLE == 0 for size in sizes)
