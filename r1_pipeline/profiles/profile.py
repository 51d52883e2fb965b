"""Profiles: the complete, typed configuration of a run.

    recipes    what is computed: node of the graph -> its recipe, or one recipe for each of its partitions
    graph      the nodes; the paper's by default
    Machine    the hardware it is made for; `require` reports what this machine lacks before any work is done
    Forecast   expected lengths and counts; used by plans only

A variant is a `replace` or `with_recipes`; a new profile is one function and one line in `PROFILES`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from r1_pipeline.engines import EngineSpec
from r1_pipeline.errors import EngineError, RecipeError, RequirementError
from r1_pipeline.evaluation.difficulty import DifficultyRecipe
from r1_pipeline.evaluation.gates import GateLimits
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.device import require_attention
from r1_pipeline.generation.engine_factory import ENGINES, engines_in, judge_server
from r1_pipeline.generation.judgements import SampleGeneralRecipe
from r1_pipeline.generation.openai import require_key
from r1_pipeline.generation.rejection import RejectionRecipe
from r1_pipeline.generation.sampling import Shard
from r1_pipeline.generation.tokens import Room, require_room
from r1_pipeline.graph.bound import Bound, Recipes, bind, changed
from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1
from r1_pipeline.graph.node import AssetName, Derived, Graph
from r1_pipeline.graph.prompted import base_of, base_recipe, prompted
from r1_pipeline.profiles.models import without_hub
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Domain, Record
from r1_pipeline.settings.cluster import ray_is_absent
from r1_pipeline.settings.launchers import Inline, RayTrain, Torchrun
from r1_pipeline.settings.reruns import Reruns
from r1_pipeline.training.base_tokenizer import base_context, base_tokenizer
from r1_pipeline.training.grpo import GrpoRecipe
from r1_pipeline.training.import_pretrained import ImportRecipe, require_model
from r1_pipeline.training.lora import require_lora
from r1_pipeline.training.model_check import model_faults
from r1_pipeline.training.precision import require_precision
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.rollouts import rollout_identity, rollout_settings
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import ReinforceRecipe


def sharded(traces: Mapping[Domain, RejectionRecipe], shards: Mapping[Domain, int]) -> dict[str, RejectionRecipe]:
    """Cuts each domain's recipe into the partitions `DOMAIN.00`, `DOMAIN.01` and so on.

    A domain without shards stays one partition under its own name. Dagster does not compute staleness across 100
    partitions or more.
    """
    parts: dict[str, RejectionRecipe] = {}
    for domain, whole in traces.items():
        of = shards.get(domain, 1)
        cut = [whole.ask.model_copy(update={"shard": Shard(index=index, of=of)}) for index in range(of)]
        named = {f"{domain}.{index:02d}": whole.model_copy(update={"ask": ask}) for index, ask in enumerate(cut)}
        parts |= named if of > 1 else {domain: whole}
    assert len(parts) < 100
    return parts


class Machine(Record):
    """The hardware that a profile is made for."""

    accelerator: str
    """A name in `planning.hardware.ACCELERATORS`."""
    devices: int
    """Accelerators, or CPU cores, that one stage uses at once."""
    memory_gib: float
    """Minimum memory per device, GiB; 0 disables the check."""
    sequence_devices: int
    """Devices that share one sequence in training (context parallelism)."""


class Forecast(Record):
    """Expected lengths, in tokens, and counts that no recipe can know before the run."""

    prompt: float
    """Mean tokens of a rendered prompt."""
    zero: float
    """Mean tokens of a completion over the training of R1-Zero."""
    reasoning: float
    """Mean tokens of a reasoning completion of any later model."""
    general: float
    """Mean tokens of a reply to a general prompt."""
    kept: float
    """Share of sampled completions that are correct and readable, in (0, 1]."""
    general_rows: int
    """Written replies to general prompts."""
    pairs: int
    """Preference pairs for one reward model."""


class Reported(Record):
    """A figure that others report for the same base after reinforcement alone, to compare a run with."""

    benchmark: str
    before: float | None
    """Percent solved by the base; None if it is not reported."""
    after: float
    """Percent solved after reinforcement."""
    source: str

    def __str__(self) -> str:
        change = f"{self.after:g}" if self.before is None else f"{self.before:g} -> {self.after:g}"
        return f"{self.benchmark} {change} ({self.source})"


class Override(Record):
    """A field of a recipe that a user has set to another value than the profile's (`profiles.overrides`)."""

    node: str
    """The node in whose recipe it is, with the partition after a slash if it was set for one partition."""
    field: str
    """The dotted path of the field in that recipe."""
    before: str
    """The profile's value, as JSON."""
    after: str
    """The value now, as JSON."""

    def __str__(self) -> str:
        return f"{self.node}.{self.field} {self.before} → {self.after}"


@dataclass(frozen=True)
class Profile:
    """The recipes of a graph, the runtime they were made for, and the limits of their gates."""

    recipes: Recipes
    runtime: Runtime
    gates: GateLimits
    reruns: Reruns
    machine: Machine
    forecast: Forecast
    reported: tuple[Reported, ...] = ()
    """Figures of others for R1-Zero's base, on held-out problems of the same kind."""
    graph: Graph = DEEPSEEK_R1
    name: str = ""
    """The name that it was loaded by."""
    seed: int = 0
    """The seed that all its other seeds derive from."""
    overrides: tuple[Override, ...] = ()
    """The fields that differ from the profile's because a user has set them; shown in the status and the report."""

    @cached_property
    def bound(self) -> Bound:
        """The graph bound to these recipes; raises `GraphError` if they do not fit."""
        return bind(self.graph, self.recipes)

    def overrides_of(self, name: AssetName) -> list[Override]:
        """Returns the overrides of the recipe of one artifact."""
        node = self.graph.node(name.asset)
        of = node.recipe.of if isinstance(node.recipe, Derived) else (node.recipe or "").partition(".")[0]
        return [each for each in self.overrides if each.node in (of, f"{of}/{name.partition}")]

    def with_recipes(self, recipes: Recipes) -> "Profile":
        """Returns this profile with some recipes added or replaced."""
        return replace(self, recipes={**self.recipes, **recipes})

    def with_engine(self, engine: EngineSpec) -> "Profile":
        """Returns this profile with all sampling outside training done by `engine`."""

        def sampled(recipe: Recipe) -> Recipe:
            own = isinstance(recipe, RejectionRecipe | SampleGeneralRecipe | EvaluateRecipe | DifficultyRecipe)
            return changed(recipe, "ask.engine", engine) if own else recipe

        return self.with_recipes(
            {
                name: sampled(own) if isinstance(own, Recipe) else {part: sampled(each) for part, each in own.items()}
                for name, own in self.recipes.items()
            }
        )

    def require(self) -> None:
        """Checks the machine before any work is done; raises `RequirementError` naming everything that it lacks."""
        devices = list(self._devices())
        lacking = [
            *(*devices, *self._models(), *self._engines(), *self._cluster(), *self._shares(), *self._adapters()),
            *([] if devices else self._precision()),
        ]
        if lacking:
            raise RequirementError("\n".join(dict.fromkeys(lacking)))

    def _devices(self) -> Iterator[str]:
        launcher = self.runtime.launcher
        if not self.runtime.device.startswith("cuda") or isinstance(launcher, RayTrain):  # its devices are elsewhere
            return
        import torch

        found = torch.cuda.device_count()
        if found > 1 and isinstance(launcher, Inline):
            yield (
                f"{found} GPUs are visible and the launcher inline trains on one; set CUDA_VISIBLE_DEVICES=0, or "
                'name a launcher in runtime.toml: type = "subprocess" takes the first GPU, "torchrun" all'
            )
        try:
            require_attention(self.runtime)
        except RequirementError as error:
            yield str(error)
        wanted = launcher.processes if isinstance(launcher, Torchrun) else self.machine.devices
        if found < wanted:
            yield (
                f"{wanted} GPU(s) with {self.machine.memory_gib:.0f} GiB are needed, {found} found; "
                "take a smaller profile, or see what this one needs: r1 plan"
            )
        for index in range(min(found, wanted)):
            gib = torch.cuda.get_device_properties(index).total_memory / 2**30
            if gib < self.machine.memory_gib:
                yield f"GPU {index} has {gib:.0f} GiB, {self.machine.memory_gib:.0f} are needed; take a smaller profile"

    def _models(self) -> Iterator[str]:
        imported = {name: recipe for name, recipe in self._recipes() if isinstance(recipe, ImportRecipe)}
        found: dict[str, None] = {}  # faults, each once
        for name, recipe in imported.items():
            try:
                where = require_model(recipe.source, self.runtime)
            except RequirementError as error:
                found[f"{error}{without_hub(recipe.source)}"] = None
                continue
            same = [base for base, other in imported.items() if other.source == recipe.source]
            faults = list(model_faults(recipe, where)) or (list(self._unread(same, recipe)) if same[0] == name else [])
            found |= dict.fromkeys(faults)
        yield from found

    def _unread(self, bases: Collection[str], recipe: ImportRecipe) -> Iterator[str]:
        """Yields a fault where a prompt form leaves no room in the context of these bases of one model."""
        tokenizer, context = base_tokenizer(recipe, self.runtime), base_context(recipe, self.runtime)
        asked = dict.fromkeys(
            (each.template, each.reply_tokens) for each in prompted(self.bound) if str(each.base) in bases
        )
        for template, reply_tokens in asked:
            try:
                require_room(Room(tokenizer, context, template, reply_tokens), ", ".join(bases))
            except RecipeError as error:
                yield str(error)

    def _engines(self) -> Iterator[str]:
        for kind in sorted({spec.type for _, recipe in self._recipes() for spec in engines_in(recipe)}):
            if lacking := ENGINES[kind].missing(self.runtime):
                yield lacking
        evaluations = (recipe for recipe in self.recipes.values() if isinstance(recipe, EvaluateRecipe))
        for name in dict.fromkeys(name for each in evaluations if each.grade.judge for name in each.grade.judge.models):
            try:
                require_key(judge_server(name, self.runtime))
            except (EngineError, RequirementError) as error:
                yield str(error)
        for rollouts in {recipe.rollouts for recipe in self._trained() if isinstance(recipe, GrpoRecipe)}:
            try:
                rollout_identity(rollouts)
                rollout_settings(rollouts, self.runtime)
            except EngineError as error:
                yield str(error)

    def _cluster(self) -> Iterator[str]:
        if self.runtime.cluster and (absent := ray_is_absent()):
            yield absent

    def _shares(self) -> Iterator[str]:
        ranks = self.runtime.launcher.ranks
        unequal = [f"{name} ({batch})" for name, batch in self._batches() if batch % ranks]
        if unequal:
            yield f"{ranks} ranks cannot share the batches of {', '.join(unequal)} equally; start fewer ranks"

    def _batches(self) -> Iterator[tuple[str, int]]:
        """Yields every stage that trains, with its effective batch size in sequences."""
        for stage, recipe in self._recipes():
            if isinstance(recipe, ReinforceRecipe):
                yield stage, recipe.grpo.prompts_per_step * recipe.grpo.group_size
            elif isinstance(recipe, SftRecipe | RewardModelRecipe | PretrainRecipe):
                yield stage, recipe.batch

    def _recipes(self) -> Iterator[tuple[str, Recipe]]:
        """Yields every artifact that has a recipe, with its recipe."""
        for name in self.bound.names.values():
            if (recipe := self.bound.recipe(name)) is not None:
                yield str(name), recipe

    def _trained(self) -> Iterator[GrpoRecipe | SftRecipe | RewardModelRecipe]:
        """Yields the training recipe of every model that is trained from another."""
        for _, recipe in self._recipes():
            if isinstance(recipe, ReinforceRecipe):
                yield recipe.grpo
            elif isinstance(recipe, SftRecipe | RewardModelRecipe):
                yield recipe

    def _adapters(self) -> Iterator[str]:
        if any(recipe.lora for recipe in self._trained()):
            try:
                require_lora(self.runtime)
            except RequirementError as error:
                yield str(error)
        for name in self.bound.names.values():
            recipe, base = self.bound.recipe(name), base_recipe(self.bound, base_of(self.bound, name))
            own = recipe.grpo if isinstance(recipe, ReinforceRecipe) else recipe
            lora = own.lora if isinstance(own, GrpoRecipe | SftRecipe | RewardModelRecipe) else None
            if lora and base:
                try:
                    lora.adapted(base.shape.linears)
                except RecipeError as error:
                    yield f"{name}: {error}"

    def _precision(self) -> Iterator[str]:
        for precision in sorted({recipe.precision for recipe in self._trained()} - {"float32"}):
            try:
                require_precision(precision, self.runtime.device)
            except RequirementError as error:
                yield str(error)
