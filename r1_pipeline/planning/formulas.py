"""Time and memory of training and sampling from first principles, as pure functions.

Training is bound by arithmetic: its time is FLOPs divided by the FLOP/s of the devices. Sampling is mostly bound by
memory: each step reads the weights and the KV cache of all sequences, sends tokens to their experts, waits for
collectives, and makes one token for each sequence. A rollout ends with its longest completion.
Loading, compilation, grading, checkpoints and failed runs are not covered.
"""

import math
from dataclasses import dataclass
from typing import Literal

from r1_pipeline.errors import RecipeError
from r1_pipeline.planning.hardware import (
    ACCELERATORS,
    BANDWIDTH_UTILIZATION,
    DECODE_UTILIZATION,
    LATENCY_S,
    TRAINING_UTILIZATION,
    Accelerator,
)
from r1_pipeline.planning.placement import FLOAT32, Placement
from r1_pipeline.recipe import Precision
from r1_pipeline.training.model_shape import BFLOAT16, Shape

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
    def on_cpu(self) -> bool:
        """True for cores of a processor."""
        return self.kind == ACCELERATORS["cpu-core"]

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


def step_seconds(shape: Shape, devices: Devices, place: Placement, sequences: float, context: float) -> float:
    """Seconds in which one copy of the model makes one token for each of `sequences`, after `context` tokens.

    It is the longer of reading and computing, plus network transfer and waiting. Reading covers the weights that the
    tokens touch and the KV cache; computing, 2 FLOPs per weight and attention. Each token crosses the network to its
    experts in 8 bits and back in 16 (without experts: two all-reduces of its 16-bit state per layer). Waiting is two
    synchronizations per layer, and, where ranks hold shards of the weights, gathering them.
    """
    kind, together = devices.kind, place.together
    read = place.size * (shape.weights_touched(sequences) + sequences * context * shape.kv_bytes / BFLOAT16)
    reading = read / together / (kind.bandwidth * BANDWIDTH_UTILIZATION)
    precision: Precision = place.computes or ("float32" if place.size == FLOAT32 else "bfloat16")
    flops = kind.flops.get(precision, kind.flops["float32"]) * DECODE_UTILIZATION
    computing = sequences * shape.decode_flops(context) / together / flops
    waiting = 2 * shape.layers * LATENCY_S + place.gathered / (kind.link * BANDWIDTH_UTILIZATION)
    if together == 1:
        return max(reading, computing) + waiting
    mixtures = shape.layers - shape.dense_layers
    routed = mixtures * shape.experts_per_token * 3 * shape.width / together
    reduced = (0 if shape.experts else shape.layers) * 2 * BFLOAT16 * shape.width
    sending = sequences * (routed + reduced) / (kind.network * BANDWIDTH_UTILIZATION)
    return max(reading, computing) + sending + waiting


def rollout_seconds(
    shape: Shape, devices: Devices, place: Placement, completions: int, prompt: float, mean: float, limit: int
) -> float:
    """Seconds until the last of `completions`, sampled over all copies, has ended.

    An engine that batches continuously samples them at once; transformers samples portions, each of which waits for its
    longest.

    Lengths, in tokens, are assumed to be exponential with this `mean`, cut at `limit`: after t tokens a share
    exp(-t / mean) is still running, and the longest of n is expected at mean * (ln n + 0.577).
    """
    each = completions / place.copies
    together = min(each, texts_at_once(place, prompt + limit)) if place.engine == "transformers" else each
    longest = min(float(limit), mean * (math.log(max(2.0, together * place.copies)) + EULER_GAMMA))
    width = longest / STEPS_OF_A_ROLLOUT
    times = (width * (i + 0.5) for i in range(STEPS_OF_A_ROLLOUT))
    return (each / together) * sum(
        width * step_seconds(shape, devices, place, max(1.0, together * math.exp(-t / mean)), prompt + t) for t in times
    )


def sequences_at_once(shape: Shape, devices: Devices, place: Placement, context: float) -> float:
    """Sequences of `context` tokens that a copy samples at once: as its KV cache holds, at most its seats."""
    room = place.together * place.share * devices.memory - place.owns * place.size * shape.parameters
    return max(1.0, min(texts_at_once(place, context), room / (context * kv_bytes(shape, place))))


def kv_bytes(shape: Shape, place: Placement) -> float:
    """Bytes of KV cache of one token in the precision of the engine."""
    return shape.kv_bytes * place.size / BFLOAT16


def sampling_seconds(
    shape: Shape, devices: Devices, place: Placement, completions: float, prompt: float, mean: float, limit: int
) -> float:
    """Seconds to sample a long queue of `completions`: with continuous batching, or by transformers batch by batch."""
    if place.engine == "transformers":
        return rollout_seconds(shape, devices, place, max(1, round(completions)), prompt, mean, limit)
    context = prompt + mean / 2
    places = min(sequences_at_once(shape, devices, place, context), completions / place.copies)
    steps = completions * mean / (places * place.copies)
    return steps * step_seconds(shape, devices, place, places, context)


def texts_at_once(place: Placement, context: float) -> float:
    """Sequences that a copy may sample at once: its seats, or its tokens in sequences of `context`."""
    return float(place.seats) if place.tokens is None else max(1.0, min(place.seats, place.tokens // context))


@dataclass(frozen=True)
class Memory:
    """Memory of one device, bytes.

    Training, sampling and scoring by reward models alternate, so a stage needs the largest of the three; weights and
    optimizer of a model in training stay in memory in all of them.
    """

    weights: float = 0.0
    """Weights with gradients and reference model."""
    optimizer: float = 0.0
    activations: float = 0.0
    gathered: float = 0.0
    """Whole layers of a model whose shards other ranks hold, while they compute."""
    resting: float = 0.0
    """Weights, reference model and optimizer between two steps, without gradients."""
    sampling_weights: float = 0.0
    kv_cache: float = 0.0
    held: float = 0.0
    """Memory that an engine holds while the model trains: all of its own, or none if it sleeps."""
    engine: str = ""
    """Name of the engine that samples."""
    scoring: float = 0.0
    """A reward model's weights and activations."""

    @property
    def parts(self) -> dict[str, float]:
        """The work of the stage -> the memory that it then needs."""
        return {
            "training": self.weights + self.optimizer + self.activations + self.gathered + self.held,
            "sampling": self.resting + self.sampling_weights + self.kv_cache,
            "scoring": self.resting + self.held + self.scoring if self.scoring else 0.0,
        }

    @property
    def peak(self) -> float:
        """The largest of the parts, bytes."""
        return max(self.parts.values())

    @property
    def fullest(self) -> str:
        """The work of the stage that needs that memory."""
        return max(self.parts, key=self.parts.__getitem__)


def gathered_memory(shape: Shape) -> float:
    """Bytes of the layers that FSDP2 or ZeRO-3 hold whole in the backward pass: one at work with its gradients, and the
    one that is fetched meanwhile."""
    return 3.0 * BFLOAT16 * shape.largest_layer


def scoring_memory(shape: Shape, size: int, tokens: float) -> float:
    """Bytes of a reward model of this shape that scores `tokens` tokens at once: weights, and the inside of a layer."""
    return size * (shape.parameters + tokens * (shape.width + _inside(shape)))


def resting_memory(shape: Shape, devices: Devices, reference: bool, adapters: int | None = None) -> float:
    """Bytes that a model in training keeps on one device between two steps, like `training_memory` without gradients
    and copies."""
    size = FLOAT32 if devices.precision == "float32" else BFLOAT16
    if adapters is None:
        return shape.parameters * (FLOAT32 * (1 + ADAM_MOMENTS) + (size if reference else 0)) / devices.count
    return float(FLOAT32 * (shape.parameters + adapters * (1 + ADAM_MOMENTS)))


Head = Literal["tiles", "logits", "score"]
"""The output of a model in training: TRL's log-probabilities, made for a tile of tokens and vocabulary at a time; whole
logits, as in pre-training; or one score, as in a reward model."""
TILE_TOKENS, TILE_VOCABULARY = 4096, 32_768
"""Sizes of TRL's tile (`trl.kernels.chunked_logprob`)."""
TILE_COPIES = {"cpu": 8, "cuda": 1}
"""Tables of the size of a tile that are held at once: without a kernel for the device, each operation makes one."""
LOGIT_COPIES = 3
"""Tables of the size of all logits that are held at once: log-probabilities, and two gradients."""


def head_memory(shape: Shape, tokens: float, head: Head, size: int, on_cpu: bool) -> float:
    """Bytes of the tables over the vocabulary in a pass of `tokens` tokens."""
    match head:
        case "tiles":
            copies, size = (TILE_COPIES["cpu"], FLOAT32) if on_cpu else (TILE_COPIES["cuda"], size)
            return copies * size * min(tokens, TILE_TOKENS) * min(shape.vocabulary, TILE_VOCABULARY)
        case "logits":
            return LOGIT_COPIES * FLOAT32 * tokens * shape.vocabulary
        case "score":
            return 0.0


def training_memory(
    shape: Shape,
    devices: Devices,
    tokens: float,
    recompute: bool,
    reference: bool,
    adapters: int | None = None,
    head: Head = "tiles",
) -> tuple[float, float, float]:
    """Bytes of (weights with gradients, optimizer, activations) on one device with `tokens` in a pass and even shards.

    Weights and gradients are in float32, with a bfloat16 copy if training is not in float32, and a reference model in
    the format of training; Adam has two moments. Activations are in 16 bits (32 in float32): with recomputation the
    input of each layer and the inside of one layer, otherwise the inside of all; and the tables of the head. With
    LoRA, every device has the whole model, gradients and moments are those of the `adapters` alone, and the reference
    is the model without them.
    """
    size = FLOAT32 if devices.precision == "float32" else BFLOAT16
    copy = 0 if size == FLOAT32 else BFLOAT16
    inside = size * _kept(shape)
    kept = size * shape.layers * shape.width + inside if recompute else shape.layers * inside
    activations = tokens * kept + head_memory(shape, tokens, head, size, devices.on_cpu)
    trained = shape.parameters / devices.count if adapters is None else float(adapters)
    if adapters is None:
        weights = shape.parameters * (FLOAT32 + copy + (size if reference else 0)) / devices.count
    else:
        weights = float(shape.parameters * (FLOAT32 + copy) + adapters * FLOAT32)
    return weights + trained * FLOAT32, trained * ADAM_MOMENTS * FLOAT32, activations


def _kept(shape: Shape) -> int:
    """Numbers that autograd keeps of one layer, for each token.

    Six states: input, scaled and weighted, of either norm. Queries, keys, values and their sum, with a copy of keys and
    values for every query head. Gate, its activation, the other half of the block, and their product.
    """
    return 6 * shape.width + _heads(shape) + 4 * _block(shape)


def _inside(shape: Shape) -> int:
    """Numbers of one layer, for each token, where nothing is kept for a backward pass."""
    return 4 * shape.width + _heads(shape) + 3 * _block(shape)


def _heads(shape: Shape) -> int:
    return 2 * shape.heads * (shape.key_dim + shape.value_dim)


def _block(shape: Shape) -> int:
    chosen = (shape.experts_per_token + shape.shared_experts) * shape.expert_intermediate
    return max(shape.intermediate, chosen)
