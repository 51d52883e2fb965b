"""Settings of engines on this machine, as `Runtime` holds them; none of them enters a fingerprint.

    VllmSettings     memory and devices of vLLM             generation.vllm
    OpenAiSettings   address and timeouts of a server       generation.openai
    Colocated        vLLM in the trainer's process          training.rollouts
    Served           vLLM on a server that receives the trainer's weights

The recipe chooses the engine (`engines`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Base class of all engines' settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VllmSettings(EngineSettings):
    """Settings of vLLM in a process of its own."""

    kv_cache_gib: float
    """Memory of the KV cache on each device."""
    context: int | None = None
    """Maximum tokens of prompt and completion; None for the model's own limit."""
    devices: int = 1
    """Number of GPUs that one model is split over (tensor parallelism)."""
    compiled: bool = False
    """True to compile and capture CUDA graphs, which takes minutes at the start and is faster afterwards."""


class OpenAiSettings(EngineSettings):
    """Settings of requests to a server."""

    base_url: str
    """Address with the version, such as http://127.0.0.1:8000/v1."""
    key_variable: str | None
    """Environment variable that holds the API key; None for a server without keys."""
    concurrency: int
    """Number of concurrent requests."""
    timeout_s: float
    """Seconds without a received byte after which a request has failed."""
    attempts: int
    """Attempts per request before the run stops."""
    usd_per_million_prompt_tokens: float
    usd_per_million_completion_tokens: float


class RolloutSettings(EngineSettings):
    """Settings common to both ways of generating RL rollouts with vLLM."""

    max_mismatch: float
    """Mean difference of log-probabilities between trainer and vLLM, in nats per token, above which the run stops."""


class Colocated(RolloutSettings):
    """Rollouts by vLLM in the trainer's own process, on the same GPUs."""

    type: Literal["colocated"] = "colocated"
    memory_share: float
    """Share of each GPU's memory that vLLM takes, in (0, 1)."""
    context: int | None
    """Maximum tokens of prompt and completion; None for the model's own limit."""
    devices: int
    """Number of GPUs that one copy of the model is split over."""
    sleeps: bool
    """True if vLLM frees its memory while the trainer computes."""


class Served(RolloutSettings):
    """Rollouts by vLLM on a server that receives the trainer's weights."""

    type: Literal["served"] = "served"
    base_url: str
    """Address without the version, such as http://10.0.0.2:8000."""
    group_port: int
    """Port of the process group that transfers weights."""
    timeout_s: float
    """Seconds to wait for the server to start."""


AnyRolloutSettings = Annotated[Colocated | Served, Field(discriminator="type")]
