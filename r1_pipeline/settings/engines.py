"""Settings of engines on this machine, as `Runtime` holds them; none enters a fingerprint, and all have defaults.

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

    kv_cache_gib: float | None = None
    """Memory of the KV cache on each device, GiB; None for what weights and activations leave of `memory_share`."""
    memory_share: float = Field(default=0.85, gt=0, lt=1)
    """Share of each GPU's memory that vLLM takes, in (0, 1), where `kv_cache_gib` is None."""
    context: int | None = None
    """Maximum tokens of prompt and completion; None for the model's own limit."""
    devices: int = 1
    """Number of GPUs that one model is split over (tensor parallelism)."""
    compiled: bool = False
    """True to compile and capture CUDA graphs, which takes minutes at the start and is faster afterwards."""


class OpenAiSettings(EngineSettings):
    """Settings of requests to a server."""

    base_url: str = "http://127.0.0.1:8000/v1"
    """Address with the version; the default is that of vLLM's server on this machine."""
    key_variable: str | None = None
    """Environment variable that holds the API key; None for a server without keys."""
    concurrency: int = 32
    """Number of concurrent requests."""
    timeout_s: float = 600.0
    """Seconds without a received byte after which a request has failed."""
    attempts: int = 5
    """Attempts per request before the run stops."""
    usd_per_million_prompt_tokens: float = 0.0
    """Price of a million tokens of prompts, USD."""
    usd_per_million_completion_tokens: float = 0.0
    """Price of a million tokens of completions, USD."""


class RolloutSettings(EngineSettings):
    """Settings common to both ways of generating RL rollouts with vLLM."""

    max_mismatch: float = 0.2
    """Mean difference of log-probabilities between trainer and vLLM, in nats per token, above which the run stops."""


class Colocated(RolloutSettings):
    """Rollouts by vLLM in the trainer's own process, on the same GPUs."""

    type: Literal["colocated"] = "colocated"
    memory_share: float = Field(default=0.35, gt=0, lt=1)
    """Share of each GPU's memory that vLLM takes, in (0, 1); the trainer's weights and optimizer stay next to it."""
    context: int | None = None
    """Maximum tokens of prompt and completion; None for the model's own limit."""
    devices: int = 1
    """Number of GPUs that one copy of the model is split over (tensor parallelism)."""
    sleeps: bool = True
    """True if vLLM frees its memory while the trainer computes."""


class Served(RolloutSettings):
    """Rollouts by vLLM on a server that receives the trainer's weights."""

    type: Literal["served"] = "served"
    base_url: str = "http://127.0.0.1:8000"
    """Address without the version."""
    group_port: int = 51216
    """Port of the process group that transfers weights."""
    timeout_s: float = 600.0
    """Seconds to wait for the server to start."""


AnyRolloutSettings = Annotated[Colocated | Served, Field(discriminator="type")]
