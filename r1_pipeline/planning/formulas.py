"""Time and memory of training and sampling from first principles, as pure functions.

Training is bound by arithmetic: its time is FLOPs divided by the FLOP/s of the devices. Sampling is mostly bound by
memory: each step reads the weights and the KV cache of all sequences, sends tokens to their experts, waits for
collectives, and makes one token for each sequence. A rollout ends with its longest completion.
Loading, compilation, grading, checkpoints and failed runs are not covered.
"""

import math
from dataclasses import dataclass

from r1_pipeline.errors import RecipeError
from r1_pipeline.planning.hardware import (
    BANDWIDTH_UTILIZATION,
    DECODE_UTILIZATION,
    LATENCY_S,
    MEMORY_SHARE,
    SEQUENCES_PER_DEVICE,
    TRAINING_UTILIZATION,
    WEIGHTS_SHARE,
    Accelerator,
)
from r1_pipeline.recipe import Precision
from r1_pipeline.training.model_shape import BFLOAT16, Shape

FLOAT32 = 4
ADAM_MOMENTS = 2
EULER_GAMMA = 0.5772
STEPS_OF_A_ROLLOUT = 256
"""Number of points at which a rollout is evaluated."""


@dataclass(frozen=True)
class Devices:
    """The accelerators, all of one kind, that work on one stage."""

    kind: Accelerator
    count: int
    precision: Precision
    """Number format of training."""

    @property
    def training_flops(self) -> float:
        """FLOP/s of all devices together in training; raises `RecipeError` for a format that they lack."""
        if self.precision not in self.kind.flops:
            raise RecipeError(f"{self.kind.about} has no {self.precision}; choose another accelerator or precision")
        return self.count * self.kind.flops[self.precision] * TRAINING_UTILIZATION

    @property
    def memory(self) -> float:
        """Memory of one device, bytes."""
        return self.kind.memory_gib * 2**30


def training_seconds(
    shape: Shape, devices: Devices, tokens: float, length: float, forwards: float, adapters: int | None = None
) -> float:
    """Seconds to train on `tokens` in sequences of `length` tokens, with `forwards` additional forward passes.

    A forward and backward pass cost three forward passes; causal attention sees half a sequence on average. With LoRA,
    the `adapters` multiply as many numbers more, and the frozen weights need no gradient: one of the three passes
    without its attention.
    """
    flops = (3 + forwards) * (shape.forward_flops(length / 2) + 2 * (adapters or 0))
    frozen = 0.0 if adapters is None else shape.matmul_flops
    return tokens * (flops - frozen) / devices.training_flops


def engine_devices(shape: Shape, devices: Devices) -> int:
    """Devices that share one copy of the model in sampling: the least power of two whose memory it half fills."""
    wanted = BFLOAT16 * shape.parameters / (WEIGHTS_SHARE * devices.memory)
    return min(devices.count, 1 << max(0, math.ceil(math.log2(wanted))))


def step_seconds(shape: Shape, devices: Devices, together: int, sequences: float, context: float) -> float:
    """Seconds in which `together` devices make one token for each of `sequences`, after `context` tokens.

    It is the longer of reading and computing, plus network transfer and waiting. Reading covers the weights that the
    tokens touch and the KV cache; computing, 2 FLOPs per weight and attention. Each token crosses the network to its
    experts in 8 bits and back in 16 (without experts: two all-reduces of its 16-bit state per layer). Waiting is two
    synchronizations per layer.
    """
    kind = devices.kind
    read = BFLOAT16 * shape.weights_touched(sequences) + sequences * context * shape.kv_bytes
    reading = read / together / (kind.bandwidth * BANDWIDTH_UTILIZATION)
    flops = kind.flops.get("bfloat16", kind.flops["float32"]) * DECODE_UTILIZATION
    computing = sequences * shape.decode_flops(context) / together / flops
    waiting = 2 * shape.layers * LATENCY_S
    if together == 1:
        return max(reading, computing) + waiting
    mixtures = shape.layers - shape.dense_layers
    routed = mixtures * shape.experts_per_token * 3 * shape.width / together
    reduced = (0 if shape.experts else shape.layers) * 2 * BFLOAT16 * shape.width
    sending = sequences * (routed + reduced) / (kind.network * BANDWIDTH_UTILIZATION)
    return max(reading, computing) + sending + waiting


def rollout_seconds(shape: Shape, devices: Devices, completions: int, prompt: float, mean: float, limit: int) -> float:
    """Seconds until the last of `completions`, sampled at once over all devices, has ended.

    Lengths, in tokens, are assumed to be exponential with this `mean`, cut at `limit`: after t tokens a share
    exp(-t / mean) is still running, and the longest of n is expected at mean * (ln n + 0.577).
    """
    together = engine_devices(shape, devices)
    each = completions * together / devices.count
    longest = min(float(limit), mean * (math.log(completions) + EULER_GAMMA))
    width = longest / STEPS_OF_A_ROLLOUT
    times = (width * (i + 0.5) for i in range(STEPS_OF_A_ROLLOUT))
    return sum(
        width * step_seconds(shape, devices, together, max(1.0, each * math.exp(-t / mean)), prompt + t) for t in times
    )


def sequences_per_device(shape: Shape, devices: Devices, context: float) -> float:
    """Sequences of `context` tokens that a device samples at once: as its KV cache holds, at most vLLM's limit."""
    together = engine_devices(shape, devices)
    room = MEMORY_SHARE * devices.memory - BFLOAT16 * shape.parameters / together
    return max(1.0, min(SEQUENCES_PER_DEVICE, room / (context * shape.kv_bytes)))


def sampling_seconds(shape: Shape, devices: Devices, completions: float, prompt: float, mean: float) -> float:
    """Seconds to sample a long queue of `completions` with continuous batching."""
    together, context = engine_devices(shape, devices), prompt + mean / 2
    places = min(sequences_per_device(shape, devices, context) * together, completions * together / devices.count)
    steps = completions * mean / (places * devices.count / together)
    return steps * step_seconds(shape, devices, together, places, context)


@dataclass(frozen=True)
class Memory:
    """Memory of one device, bytes; training and sampling alternate, so a stage needs the larger of the two."""

    weights: float
    optimizer: float
    activations: float
    kv_cache: float
    sampling_weights: float

    @property
    def peak(self) -> float:
        """The larger of the memory of training and of sampling, bytes."""
        return max(self.weights + self.optimizer + self.activations, self.sampling_weights + self.kv_cache)


def training_memory(
    shape: Shape, devices: Devices, tokens: float, recompute: bool, reference: bool, adapters: int | None = None
) -> tuple[float, float, float]:
    """Bytes of (weights with gradients, optimizer, activations) on one device with `tokens` in a pass and even shards.

    Weights and gradients are in float32, with a bfloat16 copy if training is not in float32, and a reference model in
    the format of training; Adam has two moments. Activations are in 16 bits (32 in float32): with recomputation the
    input of each layer and the inside of one layer, otherwise the inside of all. Logits and their gradient are in
    float32. With LoRA, every device has the whole model, gradients and moments are those of the `adapters` alone, and
    the reference is the model without them.
    """
    size = FLOAT32 if devices.precision == "float32" else BFLOAT16
    copy = 0 if size == FLOAT32 else BFLOAT16
    if adapters is None:
        weights = shape.parameters * (2 * FLOAT32 + copy + (size if reference else 0)) / devices.count
        optimizer = shape.parameters * ADAM_MOMENTS * FLOAT32 / devices.count
    else:
        weights = float(shape.parameters * (FLOAT32 + copy) + adapters * 2 * FLOAT32)
        optimizer = float(adapters * ADAM_MOMENTS * FLOAT32)
    feed_forward = 3 * max(
        shape.intermediate, (shape.experts_per_token + shape.shared_experts) * shape.expert_intermediate
    )
    heads = 2 * shape.heads * (shape.key_dim + shape.value_dim)
    inside = size * (4 * shape.width + heads + feed_forward)
    kept = size * shape.layers * shape.width + inside if recompute else shape.layers * inside
    return weights, optimizer, tokens * (kept + 2 * FLOAT32 * shape.vocabulary)
