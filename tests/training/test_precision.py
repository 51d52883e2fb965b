"""Number formats that the hardware lacks are refused before anything is loaded."""

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from r1_pipeline.errors import RequirementError
from r1_pipeline.generation.decoding import decode
from r1_pipeline.generation.device import require_dtype
from r1_pipeline.training.precision import casting_once, require_precision

SETTINGS = GenerationConfig(max_new_tokens=5, eos_token_id=None, pad_token_id=0)


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


def test_rollouts_in_bfloat16_copy_each_weight_once_and_score_alike() -> None:
    """Two layers of seven products and the head: 15 copies, instead of 15 for each of the five tokens."""
    from accelerate.utils import convert_outputs_to_fp32
    from torch.utils._python_dispatch import TorchDispatchMode
    from transformers import AutoConfig, AutoModelForCausalLM

    copies: list[tuple[int, ...]] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
            copied = operation is torch.ops.aten._to_copy.default and given[0].dtype == torch.float32
            if copied and (named or {}).get("dtype") == torch.bfloat16 and given[0].requires_grad:
                copies.append(tuple(given[0].shape))
            return operation(*given, **(named or {}))

    config = AutoConfig.for_model(
        "llama", vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    forward = torch.autocast("cpu", torch.bfloat16)(model.forward)  # as accelerate wraps it
    model.forward = MethodType(lambda _, *given, **named: convert_outputs_to_fp32(forward)(*given, **named), model)
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])

    def generated(generate: Callable[..., Any]) -> tuple[list[list[int]], int]:
        copies.clear()
        with torch.no_grad(), Watch():
            output = generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=SETTINGS)
        return output.tolist(), len(copies)

    plain = partial(model.generate, custom_generate=decode)
    assert generated(plain) == (generated(casting_once(plain, "bfloat16", "cpu"))[0], 5 * 15)
    assert generated(casting_once(plain, "bfloat16", "cpu"))[1] == 15
    assert casting_once(plain, "float32", "cpu") is plain


def test_sampling_in_bfloat16_is_refused_where_a_processor_emulates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    require_dtype("float32", "cpu")
    require_dtype("bfloat16", "cuda")
    with pytest.raises(RequirementError, match="would emulate bfloat16, which takes longer than float32; set dtype"):
        require_dtype("bfloat16", "cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    require_dtype("bfloat16", "cpu")
