"""Settings of torch and transformers that follow from the `Runtime`: threads, TF32, attention, the size of a batch."""

from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RequirementError
from r1_pipeline.recipe import Runtime

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CACHE_SHARE = 0.5
"""The share of free memory for the cache of a batch; the rest is for prompts, scores and other stages."""
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""Names of the instructions in torch's list of capabilities; the last is ARM's."""


def prepare_torch(runtime: Runtime) -> None:
    """Sets torch's CPU threads and, on CUDA, whether float32 products run in TF32."""
    import torch

    torch.set_num_threads(runtime.threads)
    if runtime.device.startswith("cuda"):
        torch.set_float32_matmul_precision("high" if runtime.tf32 else "highest")


def load_options(runtime: Runtime) -> dict[str, Any]:
    """Returns arguments of `from_pretrained` that every model of a stage is loaded with.

    Raises `RequirementError` for an attention implementation that this machine lacks.
    """
    require_attention(runtime)
    chosen = {} if runtime.attention is None else {"attn_implementation": runtime.attention}
    return {"use_safetensors": True, **chosen}


def require_dtype(dtype: str, device: str) -> None:
    """Raises `RequirementError` if this processor would only emulate sampling in `dtype`, slower than float32."""
    if dtype == "bfloat16" and device == "cpu" and not computes_bfloat16():
        raise RequirementError(
            "this processor has neither AVX512-BF16 nor AMX and would emulate bfloat16, which takes longer than "
            'float32; set dtype = "float32" of the engine'
        )


def computes_bfloat16() -> bool:
    """Returns true if the processor has instructions for products of bfloat16."""
    import torch

    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in BFLOAT16_INSTRUCTIONS)


def require_attention(runtime: Runtime) -> None:
    """Raises `RequirementError` if this machine lacks the runtime's attention implementation."""
    if runtime.attention != "flash_attention_2":
        return
    if not runtime.device.startswith("cuda"):
        raise RequirementError(f"flash_attention_2 needs a GPU, the device is {runtime.device}; set attention to sdpa")
    try:
        metadata.version("flash-attn")
    except metadata.PackageNotFoundError:
        raise RequirementError(
            "flash_attention_2 needs the package flash-attn; install it (pip install flash-attn --no-build-isolation), "
            "or set attention to sdpa"
        ) from None


def tokens_that_fit(model: "PreTrainedModel") -> int:
    """Returns the number of tokens whose cache fills half of the memory that is free on the model's device."""
    import psutil
    import torch

    on_cpu = model.device.type == "cpu"
    free = psutil.virtual_memory().available if on_cpu else torch.cuda.mem_get_info(model.device)[0]
    return int(CACHE_SHARE * free / cache_bytes(model))


def cache_bytes(model: "PreTrainedModel") -> int:
    """Returns the bytes of one token in the cache of `generate`."""
    config = model.config
    shared = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    latent = getattr(config, "kv_lora_rank", None)
    numbers = latent + config.qk_rope_head_dim if latent else 2 * shared * width
    return int(config.num_hidden_layers * numbers * model.dtype.itemsize)


def batches(lengths: Sequence[int], runtime: Runtime, fit: int | None = None) -> Iterator[slice]:
    """Yields consecutive slices of the texts with these `lengths`, in tokens, that are computed at once.

    A slice has at most `generation_batch` texts; padded to its longest text it has at most `generation_tokens` tokens,
    or as many as `fit` into memory if the runtime has no bound, unless that text alone is longer.
    """
    bound = fit if runtime.generation_tokens is None else runtime.generation_tokens
    start = longest = 0
    for end, length in enumerate(lengths):
        longest = max(longest, length)
        count = end - start + 1
        full = bound is not None and count * longest > bound
        if count > 1 and (full or count > runtime.generation_batch):
            yield slice(start, end)
            start, longest = end, length
    if lengths:
        yield slice(start, len(lengths))
