"""The plan of a profile: the estimated cost of every stage on a given accelerator, and the authors' published cost.

The formulae are in `formulas`, the constants in `hardware`, the counts in `work`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from r1_pipeline.engines import Transformers
from r1_pipeline.planning.formulas import (
    Devices,
    Memory,
    gathered_memory,
    kv_bytes,
    resting_memory,
    rollout_seconds,
    sampling_seconds,
    scoring_memory,
    sequences_at_once,
    texts_at_once,
    training_memory,
    training_seconds,
)
from r1_pipeline.planning.hardware import MEMORY_SHARE, accelerator_of
from r1_pipeline.planning.placement import FLOAT32, Placement, placement_of
from r1_pipeline.planning.prompt_choice import prompt_choices
from r1_pipeline.planning.work import Sampled, Scorer, Trained, Work, work_of
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.profile import Reported
from r1_pipeline.recipe import Precision
from r1_pipeline.records import Record
from r1_pipeline.settings.engines import Colocated
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
    fullest: str
    """The work of the stage at that peak: training, sampling or scoring."""
    remedy: str
    """The setting that lowers that peak."""
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
    reported: tuple[Reported, ...] = ()
    """Figures of others to compare a run of the profile with."""
    choices: tuple[str, ...] = ()
    """One sentence for each node that chooses its prompts by difficulty or replaces flat groups."""

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
        reported=profile.reported,
        choices=tuple(prompt_choices(profile.bound)),
    )


def planned_hours(profile: Profile) -> dict[str, float]:
    """Returns device hours on the profile's own accelerator, by asset key with the partition after a slash."""
    return {
        str(unit): _hours(work, _devices(profile, profile.machine.accelerator, work), profile)
        for unit, work in work_of(profile).items()
    }


def _devices(profile: Profile, accelerator: str, work: Work) -> Devices:
    engine = work.sampled.engine if work.sampled else None
    sampling: Precision = engine.dtype if isinstance(engine, Transformers) else "bfloat16"
    precision = work.trained.precision if work.trained else sampling
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
        fullest=worst.fullest,
        remedy=_remedy(worst),
        gpu_hours=sum(_hours(work, _devices(profile, accelerator, work), profile) for work in parts),
        published_gpu_hours=None,
    )


def _hours(work: Work, devices: Devices, profile: Profile) -> float:
    """Estimates the hours of all devices together."""
    seconds = 0.0
    if sampled := work.sampled:
        place = _place(work.shape, sampled, devices, profile)
        at_once, prompt, mean, limit = sampled.at_once, sampled.prompt, sampled.mean, sampled.limit
        if at_once is None:
            seconds += sampling_seconds(work.shape, devices, place, sampled.completions, prompt, mean, limit)
        else:
            rollouts = sampled.completions / at_once
            seconds += rollouts * rollout_seconds(work.shape, devices, place, at_once, prompt, mean, limit)
    if trained := work.trained:
        seconds += training_seconds(
            work.shape, devices, trained.tokens, trained.length, trained.forwards, trained.adapters(work.shape)
        )
    return seconds * devices.count / HOUR


def _place(shape: Shape, sampled: Sampled, devices: Devices, profile: Profile) -> Placement:
    rollouts = sampled.at_once is not None
    place = placement_of(sampled.engine, shape, profile.runtime, devices.count, devices.kind, rollouts)
    return replace(place, computes=devices.precision) if profile.runtime.device == "cpu" else place


def _memory(work: Work, devices: Devices, profile: Profile) -> Memory:
    memory, shape = Memory(), work.shape
    if trained := work.trained:
        weights, optimizer, activations = _training_memory(shape, trained, devices, profile)
        resting = resting_memory(shape, devices, trained.reference, trained.adapters(shape))
        launcher = profile.runtime.launcher
        gathered = gathered_memory(shape) if launcher.keeps != "ddp" and launcher.ranks > 1 else 0.0
        memory = Memory(weights, optimizer, activations, gathered, resting)
    if sampled := work.sampled:
        place = _place(shape, sampled, devices, profile)
        sampling = place.owns * place.size * shape.parameters / place.together
        cache = _kv_cache(shape, sampled, devices, place)
        if place.engine == "vllm":  # it takes its share of the memory at once, in which one sequence has to fit
            least = sampling + (sampled.prompt + sampled.limit) * kv_bytes(shape, place) / place.together
            fits = least <= place.share * devices.memory
            cache = (place.share * devices.memory if fits else least / place.share) - sampling
        awake = work.trained is not None and place.engine == "vllm" and not _sleeps(profile)
        held = sampling + cache if awake else 0.0
        memory = replace(memory, sampling_weights=sampling, kv_cache=cache, held=held, engine=place.engine)
    return replace(memory, scoring=max((_scoring(each, profile) for each in work.scorers), default=0.0))


def _remedy(memory: Memory) -> str:
    match memory.fullest:
        case "training" if memory.held:
            return "vLLM holds its memory while the model trains; set sleeps = true in [rollouts]"
        case "training" if memory.gathered > memory.activations:
            return (
                "a whole layer is gathered on every device, and layers are not split; take a base with smaller layers"
            )
        case "training":
            return (
                "lower micro_batch, set recompute = true, or share the model over more devices (launcher torchrun, "
                'sharding = "fsdp2")'
            )
        case "sampling" if memory.engine == "vllm":
            return "the weights and one reply must fit into memory_share of `devices` GPUs; raise devices, or the share"
        case "sampling":
            return "set generation_tokens or lower generation_batch, or sample with vLLM"
        case _:
            return "lower generation_tokens; a reward model is whole on every rank, so train it from a smaller base"


def _sleeps(profile: Profile) -> bool:
    place = profile.runtime.rollouts
    return isinstance(place, Colocated) and place.sleeps


def _scoring(scorer: Scorer, profile: Profile) -> float:
    runtime, size = profile.runtime, FLOAT32 if scorer.precision == "float32" else BFLOAT16
    whole = runtime.generation_batch * scorer.longest
    tokens = whole if runtime.generation_tokens is None else min(whole, runtime.generation_tokens)
    return scoring_memory(scorer.shape, size, tokens)


def _training_memory(shape: Shape, trained: Trained, devices: Devices, profile: Profile) -> tuple[float, float, float]:
    """Bytes in training: a pass holds `micro_batch` rows of mean length, or one of the longest possible."""
    rows = profile.runtime.micro_batch * trained.of_a_row * trained.length
    tokens = max(rows, trained.longest) / profile.machine.sequence_devices
    recompute, adapters = profile.runtime.recompute, trained.adapters(shape)
    return training_memory(shape, devices, tokens, recompute, trained.reference, adapters, trained.head)


def _kv_cache(shape: Shape, sampled: Sampled, devices: Devices, place: Placement) -> float:
    """Bytes of KV cache on a device for the sequences that a copy samples at once.

    vLLM takes as many as fit, each half done; transformers takes a batch, and each can reach the limit.
    """
    completions = sampled.completions if sampled.at_once is None else sampled.at_once
    each = completions / place.copies
    if place.engine == "transformers":
        context = sampled.prompt + sampled.limit
        return min(texts_at_once(place, context), each) * context * kv_bytes(shape, place)
    context = sampled.prompt + sampled.mean / 2
    at_once = min(sequences_at_once(shape, devices, place, context), each)
    return at_once * context * kv_bytes(shape, place) / place.together
