"""Which engine generates text: the settings that `Runtime` holds.

    Transformers   embedded, float32, any machine                       generation.hf
    Vllm           in batches, on GPUs or with a CPU build              generation.vllm
    OpenAi         any server that speaks OpenAI's protocol             generation.openai
    Colocated      vLLM beside the trainer, for reinforcement           training.rollouts
    Served         vLLM on a server that the trainer keeps up to date   training.rollouts

The engine's identity, not its settings, enters fingerprints. Not covered: the engines themselves.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Base of all engines' settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Transformers(EngineSettings):
    """The embedded engine; the dials of `Runtime` are its own."""

    type: Literal["transformers"] = "transformers"


class Vllm(EngineSettings):
    """vLLM in a process of its own."""

    type: Literal["vllm"] = "vllm"
    dtype: Literal["float32", "bfloat16", "float16"]
    """Precision of weights and activations; part of the identity."""
    kv_cache_gib: float
    """Memory for keys and values on each device."""
    context: int | None
    """Tokens of prompt and completion, at most; None is the model's own limit."""
    devices: int
    """GPUs that one model is split over (tensor parallelism)."""
    compiled: bool
    """Compile and capture graphs: minutes more at the start, faster afterwards."""


class OpenAi(EngineSettings):
    """A server that speaks OpenAI's protocol."""

    type: Literal["openai"] = "openai"
    base_url: str
    """Up to and including the version, such as http://127.0.0.1:8000/v1."""
    runs: str
    """What the server runs, as fingerprints shall name it, such as `vllm-0.31.0/bfloat16`; it cannot be asked."""
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


AnyEngine = Annotated[Transformers | Vllm | OpenAi, Field(discriminator="type")]


class VllmRollouts(EngineSettings):
    """What both ways of generating with vLLM during reinforcement need."""

    clip: float
    """Completions whose probability under the trainer is more than this many times that under vLLM do not count."""
    max_mismatch: float
    """Nats a token, on average, that log-probabilities of trainer and vLLM may differ before the run stops."""


class Colocated(VllmRollouts):
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


class Served(VllmRollouts):
    """vLLM on a server that the trainer sends its weights to."""

    type: Literal["served"] = "served"
    base_url: str
    """Without the version, such as http://10.0.0.2:8000."""
    group_port: int
    """Port of the process group over which weights travel."""
    timeout_s: float
    """Seconds to wait for the server to be up."""


AnyRollouts = Annotated[Transformers | Colocated | Served, Field(discriminator="type")]
