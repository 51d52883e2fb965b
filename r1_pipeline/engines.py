"""The engines that recipes can name to generate text, with the settings that intentionally change a result's bytes.

    Transformers   embedded, any machine                             generation.hf
    Vllm           in batches, on GPUs or with a CPU build           generation.vllm
    OpenAi         any server with OpenAI's protocol                 generation.openai
    VllmRollouts   vLLM generates the rollouts of RL                 training.rollouts

Memory, devices, addresses and concurrency belong to the runtime (`settings.engines`) and enter no fingerprint. A recipe
file can add engines (`generation.engine_factory.add_engine`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from r1_pipeline.errors import RecipeError
from r1_pipeline.registry import Registry


class EngineSpec(BaseModel):
    """Base class of all engines' identities; `type` is the name of the engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str


class Transformers(EngineSpec):
    """The embedded engine."""

    type: Literal["transformers"] = "transformers"
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", exclude_if="float32".__eq__)
    """Precision of weights and activations outside training; rollouts have the precision of the trainer."""


class Vllm(EngineSpec):
    """The engine vLLM in a process of its own."""

    type: Literal["vllm"] = "vllm"
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Precision of weights and activations."""


class OpenAi(EngineSpec):
    """A server with OpenAI's protocol."""

    type: Literal["openai"] = "openai"
    runs: str
    """Engine identity of the server, such as `vllm-0.31.0/bfloat16`, which the protocol does not report."""


ENGINE_SPECS: Registry[type[EngineSpec]] = Registry(
    "engine", {"transformers": Transformers, "vllm": Vllm, "openai": OpenAi}
)
"""Engine `type` -> class of its identity."""


def _spec(value: Any) -> Any:
    """Reads an identity from its JSON form; raises `UnknownNameError` with the known engines."""
    if not isinstance(value, dict):
        return value
    if "type" not in value:
        raise RecipeError(f"an engine needs a type: {', '.join(ENGINE_SPECS)}")
    return ENGINE_SPECS[value["type"]].model_validate(value)


AnyEngine = Annotated[SerializeAsAny[EngineSpec], BeforeValidator(_spec)]


Correction = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
"""Weight of a sample whose probabilities under trainer and vLLM differ: the ratio of both, of each token or of the
whole completion, where a ratio above the clip is cut down to it (`truncate`) or ignored (`mask`)."""


class VllmRollouts(EngineSpec):
    """Rollouts by vLLM, in which samples are weighted by the ratio of the trainer's probability to vLLM's.

    The defaults are truncated importance sampling of tokens. The ratio of a whole completion is the product of its
    tokens' ratios: after thousands of tokens it is far from 1 for rounding alone, and most completions would not count.
    """

    type: Literal["vllm"] = "vllm"
    clip: float = 2.0
    """Largest ratio that counts in full."""
    correction: Correction = "token_truncate"
    """The ratio that weights a sample, and the treatment of ratios above `clip`."""

    @property
    def by_token(self) -> bool:
        """True if each token has a weight of its own."""
        return self.correction.startswith("token")


AnyRollouts = Annotated[Transformers | VllmRollouts, Field(discriminator="type")]
