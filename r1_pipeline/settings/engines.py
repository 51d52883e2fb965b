"""How engines run on this machine: the settings that `Runtime` holds. None of them enters a fingerprint.

    VllmSettings     memory and devices of vLLM             generation.vllm
    OpenAiSettings   address and patience of a server       generation.openai
    Colocated        vLLM beside the trainer                training.rollouts
    Served           vLLM on a server that the trainer keeps up to date

Not covered: which engine generates (`engines`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Base of all engines' settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VllmSettings(EngineSettings):
    """How vLLM runs in a process of its own."""

    kv_cache_gib: float
    """Memory for keys and values on each device."""
    context: int | None = None
    """Tokens of prompt and completion, at most; None is the model's own limit."""
    devices: int = 1
    """GPUs that one model is split over (tensor parallelism)."""
    compiled: bool = False
    """Compile and capture graphs: minutes more at the start, faster afterwards."""


class OpenAiSettings(EngineSettings):
    """How a server is asked."""

    base_url: str
    """Up to and including the version, such as http://127.0.0.1:8000/v1."""
    key_variable: str | None
    """Environment variable that holds the API key, which is read nowhere else; None for a server without keys."""
    concurrency: int
    """Requests under way at once."""
    timeout_s: float
    """Seconds without a byte before a request counts as failed."""
    attempts: int
    """Times a request is sent before the run stops."""
    usd_per_million_prompt_tokens: float
    usd_per_million_completion_tokens: float


class RolloutSettings(EngineSettings):
    """What both ways of generating with vLLM during reinforcement need."""

    max_mismatch: float
    """Nats a token, on average, that log-probabilities of trainer and vLLM may differ before the run stops."""


class Colocated(RolloutSettings):
    """vLLM in the trainer's own process, on the same GPUs."""

    type: Literal["colocated"] = "colocated"
    memory_share: float
    """Share of each GPU's memory, in (0, 1)."""
    context: int | None
    """Tokens of prompt and completion, at most; None is the model's own limit."""
    devices: int
    """GPUs that one copy of the model is split over."""
    sleeps: bool
    """Whether vLLM gives its memory back while the trainer computes."""


class Served(RolloutSettings):
    """vLLM on a server that the trainer sends its weights to."""

    type: Literal["served"] = "served"
    base_url: str
    """Without the version, such as http://10.0.0.2:8000."""
    group_port: int
    """Port of the process group over which weights travel."""
    timeout_s: float
    """Seconds to wait for the server to be up."""


AnyRolloutSettings = Annotated[Colocated | Served, Field(discriminator="type")]
