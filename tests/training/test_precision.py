"""Number formats that the hardware lacks are refused before anything is loaded."""

import pytest
import torch

from r1_pipeline.errors import RequirementError
from r1_pipeline.training.precision import require_precision


def test_fp8_is_refused_without_an_nvidia_gpu() -> None:
    with pytest.raises(RequirementError, match="FP8 training needs an NVIDIA GPU, the device is cpu"):
        require_precision("float8", "cpu")


def test_fp8_is_refused_on_a_gpu_of_the_wrong_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(RequirementError, match=r"FP8 needs compute capability 8.9, cuda has 8.0; use bfloat16"):
        require_precision("float8", "cuda")


def test_a_cpu_trains_in_float32_and_bfloat16() -> None:
    require_precision("float32", "cpu")
    require_precision("bfloat16", "cpu")
