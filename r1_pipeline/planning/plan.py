"""The plan of a profile: the estimated cost of every stage on a given accelerator, and the authors' published cost.

The formulae are in `formulas`, the constants in `hardware`, the counts in `work`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from r1_pipeline.planning.formulas import (
    Devices,
    Memory,
    engine_devices,
    rollout_seconds,
    sampling_seconds,
    sequences_per_device,
    training_memory,
    training_seconds,
)
from r1_pipeline.planning.hardware import MEMORY_SHARE, accelerator_of
from r1_pipeline.planning.work import Sampled, Trained, Work, work_of
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Record
from r1_pipeline.training.model_shape import BFLOAT16, Shape

HOUR, GIB = 3600.0, 2.0**30

PUBLISHED: Mapping[str, float] = {"R1-Zero": 101_000, "SFT data": 5_000, "R1": 41_000}
"""Row of the supplement's table 7 -> H800 hours; each node of the graph names the row that covers it."""


class StagePlan(Record):
    """The plan of one asset."""

    samples: int
    """Completions, or training sequences if nothing is sampled."""
    tokens: int
    """Tokens sampled and trained on; prompts are included in training."""
    steps: int
    """Optimizer steps."""
    parameters: int
    """Parameters of the largest model."""
    active_parameters: int
    """Parameters of that model that one token uses."""
    weights_gib: float
    """Weights per device, with gradients and reference model; if nothing is trained, the weights for sampling."""
    optimizer_gib: float
    activations_gib: float
    kv_cache_gib: float
    memory_gib_per_device: float
    """Peak memory per device."""
    gpu_hours: float
    published_gpu_hours: float | None
    """The asset's share of the published figure; figures for several assets are split in proportion to estimates."""


class Published(Record):
    """A published figure, and our estimate of the same work, in H800 hours."""

    hours: float
    estimate: float


class Plan(Record):
    """The plan of all stages of a profile."""

    accelerator: str
    devices: int
    memory_gib: float
    """Usable memory of one device."""
    stages: dict[str, StagePlan]
    published: dict[str, Published]
    """Row of the paper's cost table -> both figures; empty unless a comparison is requested."""
    cost_usd: float

    @property
    def gpu_hours(self) -> float:
        """Accelerator hours of all stages."""
        return sum(stage.gpu_hours for stage in self.stages.values())

    def as_json(self) -> dict[str, Any]:
        """Returns the stable schema of `r1 plan --json`."""
        fields = {"gpu_hours", "tokens", "memory_gib_per_device", "published_gpu_hours"}
        return {
            "stages": {asset: stage.model_dump(include=fields) for asset, stage in self.stages.items()},
            "accelerator": self.accelerator,
            "cost_usd": self.cost_usd,
        }


def plan(profile: Profile, accelerator: str | None, compare: bool) -> Plan:
    """Plans `profile` on its own accelerator or another; `compare` adds the paper's hours.

    Raises `UnknownNameError` for an unknown accelerator, `RecipeError` for one without the recipe's precision.
    """
    name = accelerator or profile.machine.accelerator
    kind = accelerator_of(name)
    parts: dict[str, list[Work]] = {}
    for unit, work in work_of(profile).items():
        parts.setdefault(unit.asset, []).append(work)
    stages = {asset: _stage(profile, name, works) for asset, works in parts.items()}
    published = {}
    for row, hours in PUBLISHED.items() if compare else ():
        assets = [node.name for node in profile.graph if node.paper_cost == row and node.name in stages]
        estimate = sum(stages[asset].gpu_hours for asset in assets)
        published[row] = Published(hours=hours, estimate=estimate)
        for asset in assets:
            share = hours * stages[asset].gpu_hours / estimate
            stages[asset] = stages[asset].model_copy(update={"published_gpu_hours": share})
    return Plan(
        accelerator=name,
        devices=profile.machine.devices,
        memory_gib=MEMORY_SHARE * kind.memory_gib,
        stages=stages,
        published=published,
        cost_usd=sum(stage.gpu_hours for stage in stages.values()) * kind.usd_per_hour,
    )


def planned_hours(profile: Profile) -> dict[str, float]:
    """Returns device hours on the profile's own accelerator, by asset key with the partition after a slash."""
    return {
        str(unit): _hours(work, _devices(profile, profile.machine.accelerator, work))
        for unit, work in work_of(profile).items()
    }


def _devices(profile: Profile, accelerator: str, work: Work) -> Devices:
    precision = work.trained.precision if work.trained else "bfloat16"
    return Devices(accelerator_of(accelerator), profile.machine.devices, precision)


def _stage(profile: Profile, accelerator: str, parts: Sequence[Work]) -> StagePlan:
    memories = [_memory(work, _devices(profile, accelerator, work), profile) for work in parts]
    worst = max(memories, key=lambda memory: memory.peak)
    largest = max((work.shape for work in parts), key=lambda shape: shape.parameters)
    sampled = [work.sampled for work in parts if work.sampled]
    trained = [work.trained for work in parts if work.trained]
    return StagePlan(
        samples=sum(s.completions for s in sampled) or round(sum(t.sequences for t in trained)),
        tokens=round(sum(work.tokens for work in parts)),
        steps=sum(t.steps for t in trained),
        parameters=largest.parameters,
        active_parameters=largest.active_parameters,
        weights_gib=(worst.weights or worst.sampling_weights) / GIB,
        optimizer_gib=worst.optimizer / GIB,
        activations_gib=worst.activations / GIB,
        kv_cache_gib=worst.kv_cache / GIB,
        memory_gib_per_device=worst.peak / GIB,
        gpu_hours=sum(_hours(work, _devices(profile, accelerator, work)) for work in parts),
        published_gpu_hours=None,
    )


def _hours(work: Work, devices: Devices) -> float:
    """Estimates the hours of all devices together."""
    seconds = 0.0
    if (sampled := work.sampled) and sampled.at_once is not None:
        rollouts = sampled.completions / sampled.at_once
        seconds += rollouts * rollout_seconds(
            work.shape, devices, sampled.at_once, sampled.prompt, sampled.mean, sampled.limit
        )
    elif sampled:
        seconds += sampling_seconds(work.shape, devices, sampled.completions, sampled.prompt, sampled.mean)
    if trained := work.trained:
        seconds += training_seconds(
            work.shape, devices, trained.tokens, trained.length, trained.forwards, trained.adapters(work.shape)
        )
    return seconds * devices.count / HOUR


def _memory(work: Work, devices: Devices, profile: Profile) -> Memory:
    weights = optimizer = activations = kv_cache = sampling_weights = 0.0
    if trained := work.trained:
        weights, optimizer, activations = _training_memory(work.shape, trained, devices, profile)
    if sampled := work.sampled:
        sampling_weights = BFLOAT16 * work.shape.parameters / engine_devices(work.shape, devices)
        kv_cache = _kv_cache(work.shape, sampled, devices)
    return Memory(weights, optimizer, activations, kv_cache, sampling_weights)


def _training_memory(shape: Shape, trained: Trained, devices: Devices, profile: Profile) -> tuple[float, float, float]:
    """Bytes in training: a pass holds `micro_batch` sequences of mean length, or one of the longest possible."""
    tokens = max(profile.runtime.micro_batch * trained.length, trained.longest) / profile.machine.sequence_devices
    recompute, adapters = profile.runtime.recompute, trained.adapters(shape)
    return training_memory(shape, devices, tokens, recompute, trained.reference, adapters)


def _kv_cache(shape: Shape, sampled: Sampled, devices: Devices) -> float:
    """Bytes of KV cache for the sequences that a device samples at once, each half done."""
    context = sampled.prompt + sampled.mean / 2
    at_once = sampled.completions if sampled.at_once is None else sampled.at_once
    return min(sequences_per_device(shape, devices, context), at_once / devices.count) * context * shape.kv_bytes
