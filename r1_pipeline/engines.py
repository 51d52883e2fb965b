"""Which engine generates text, as recipes say it: what of an engine changes the bytes of a result on purpose.

    Transformers   embedded, float32, any machine                    generation.hf
    Vllm           in batches, on GPUs or with a CPU build           generation.vllm
    OpenAi         any server that speaks OpenAI's protocol          generation.openai
    VllmRollouts   vLLM generates while a policy is reinforced       training.rollouts

Memory, devices, addresses and concurrency are the runtime's (`settings.engines`) and enter no fingerprint. A recipe
file may add engines (`generation.engine_factory.add_engine`). Not covered: the engines themselves.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from r1_pipeline.errors import RecipeError
from r1_pipeline.registry import Registry


class EngineSpec(BaseModel):
    """Base of all engines' identities; `type` is the name under which an engine is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str


class Transformers(EngineSpec):
    """The embedded engine."""

    type: Literal["transformers"] = "transformers"


class Vllm(EngineSpec):
    """vLLM in a process of its own."""

    type: Literal["vllm"] = "vllm"
    dtype: Literal["float32", "bfloat16", "float16"]
    """Precision of weights and activations."""


class OpenAi(EngineSpec):
    """A server that speaks OpenAI's protocol."""

    type: Literal["openai"] = "openai"
    runs: str
    """What the server runs, such as `vllm-0.31.0/bfloat16`, since it cannot be asked."""


ENGINE_SPECS: Registry[type[EngineSpec]] = Registry(
    "engine", {"transformers": Transformers, "vllm": Vllm, "openai": OpenAi}
)
"""Class of every engine's identity, by its `type`."""


def _spec(value: Any) -> Any:
    """An identity from its JSON form; raises `UnknownNameError` with the engines there are."""
    if not isinstance(value, dict):
        return value
    if "type" not in value:
        raise RecipeError(f"an engine needs a type: {', '.join(ENGINE_SPECS)}")
    return ENGINE_SPECS[value["type"]].model_validate(value)


AnyEngine = Annotated[SerializeAsAny[EngineSpec], BeforeValidator(_spec)]


class VllmRollouts(EngineSpec):
    """vLLM generates the rollouts, and each completion is weighted by the ratio of both probabilities."""

    type: Literal["vllm"] = "vllm"
    clip: float
    """Completions whose probability under the trainer is more than this many times that under vLLM do not count."""


AnyRollouts = Annotated[Transformers | VllmRollouts, Field(discriminator="type")]
