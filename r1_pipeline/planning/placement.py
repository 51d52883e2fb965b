"""The placement of a model that samples: the devices of a copy, the copies, and the memory that they may fill.

It follows from the engine of the recipe and its settings in the runtime:

    vLLM                   `vllm.devices` a copy; one copy, or one for each worker of the cluster
    vLLM, rollouts         `rollouts.devices` a copy, on all devices of the trainer, next to its weights
    transformers           one device a copy; one copy, or one for each worker of the cluster
    transformers, rollouts the trainer's own weights on every rank; shards are gathered for every token
    a server               as many devices a copy as its weights need, on all devices
"""

import math
from dataclasses import dataclass

from r1_pipeline.engines import EngineSpec, Transformers, Vllm, VllmRollouts
from r1_pipeline.planning.hardware import MEMORY_SHARE, SEQUENCES_PER_DEVICE, WEIGHTS_SHARE, Accelerator
from r1_pipeline.recipe import Precision, Runtime
from r1_pipeline.settings.engines import Colocated
from r1_pipeline.training.model_shape import BFLOAT16, Shape

FLOAT32 = 4
UNBOUNDED = 1 << 30
"""Seats of an engine that takes all texts at once."""


@dataclass(frozen=True)
class Placement:
    """The devices and the memory with which a model samples."""

    engine: str
    """Name of the engine, for messages."""
    together: int
    """Devices that share one copy of the model."""
    copies: int
    """Copies that sample at once."""
    size: int = BFLOAT16
    """Bytes of a number in the weights and the cache."""
    share: float = MEMORY_SHARE
    """Share of a device's memory for weights and cache."""
    seats: int = SEQUENCES_PER_DEVICE
    """Sequences that a copy samples at once, at most."""
    tokens: int | None = None
    """Tokens that a copy samples at once, at most; None for no bound except memory."""
    owns: bool = True
    """True if the copy has weights of its own, besides a trainer's."""
    gathered: float = 0.0
    """Bytes that each device receives for every token, to gather shards of the weights."""
    computes: Precision | None = None
    """Precision of matrix products; None for that of the weights."""


def placement_of(
    engine: EngineSpec | VllmRollouts, shape: Shape, runtime: Runtime, count: int, kind: Accelerator, rollouts: bool
) -> Placement:
    """Returns the placement of a model that samples outside training, or in the rollouts of its own training."""
    seats, tokens = runtime.generation_batch, runtime.generation_tokens
    together_in_rollouts = seats if tokens else UNBOUNDED
    if runtime.device == "cpu":  # a core samples its share of the texts; its speed was measured as if in 16 bits
        at_once = together_in_rollouts if rollouts else max(1, seats // count)
        return Placement("transformers", 1, count, seats=at_once, tokens=tokens, owns=not rollouts)
    if isinstance(engine, VllmRollouts):
        place = runtime.rollouts
        if not isinstance(place, Colocated):
            return _elsewhere(shape, count, kind)
        return Placement("vllm", place.devices, max(1, count // place.devices), share=place.memory_share)
    if isinstance(engine, Transformers) and rollouts:
        ranks, sharded = runtime.launcher.ranks, runtime.launcher.keeps != "ddp"
        gathered = BFLOAT16 * shape.parameters if sharded and ranks > 1 else 0.0
        return Placement(
            "transformers", 1, ranks, seats=together_in_rollouts, tokens=tokens, owns=False, gathered=gathered
        )
    copies = runtime.cluster.workers if runtime.cluster else 1
    if isinstance(engine, Vllm):
        together = runtime.vllm.devices
        copies = max(1, min(copies, count // together))
        size = FLOAT32 if engine.dtype == "float32" else BFLOAT16
        share = runtime.vllm.memory_share if runtime.vllm.kv_cache_gib is None else MEMORY_SHARE
        return Placement("vllm", together, copies, size, share, seats=seats)
    if isinstance(engine, Transformers):
        size = FLOAT32 if engine.dtype == "float32" else BFLOAT16
        return Placement("transformers", 1, min(copies, count), size, seats=seats, tokens=tokens)
    return _elsewhere(shape, count, kind)


def least_devices(shape: Shape, kind: Accelerator, count: int) -> int:
    """Devices that share one copy of the model: the least power of two whose memory its weights half fill."""
    wanted = BFLOAT16 * shape.parameters / (WEIGHTS_SHARE * kind.memory_gib * 2**30)
    return min(count, 1 << max(0, math.ceil(math.log2(wanted))))


def _elsewhere(shape: Shape, count: int, kind: Accelerator) -> Placement:
    together = least_devices(shape, kind, count)
    return Placement("server", together, max(1, count // together))
