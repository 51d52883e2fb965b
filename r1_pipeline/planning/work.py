"""The amount of sampling and training behind each artifact of a profile.

Counts come from the recipes, lengths and yields from the profile's forecast, and the model's shape from the base that
the graph leads to. Artifacts that only move rows (curation, grading, merging) need no accelerator and are left out.
"""

from dataclasses import dataclass, replace

from r1_pipeline.engines import EngineSpec, VllmRollouts
from r1_pipeline.generation.control_corpus import ToyCorpusRecipe
from r1_pipeline.generation.judgements import SampleGeneralRecipe
from r1_pipeline.generation.rejection import RejectionRecipe, RewriteRecipe
from r1_pipeline.generation.rewriting import INSTRUCTIONS, ByCheckpoint
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import AssetName
from r1_pipeline.planning.formulas import Head
from r1_pipeline.profiles import Forecast, Profile
from r1_pipeline.recipe import Precision
from r1_pipeline.training.form_warm_up import WarmUpRecipe
from r1_pipeline.training.import_pretrained import ImportRecipe
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.model_shape import Shape
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.verbs import GeneralRecipe, ReinforceRecipe


@dataclass(frozen=True)
class Sampled:
    """A number of completions to sample."""

    completions: int
    prompt: float
    mean: float
    """Mean tokens of a completion."""
    limit: int
    at_once: int | None
    """Completions of a rollout, which ends before the next begins; None for one long queue."""
    engine: EngineSpec

    @property
    def tokens(self) -> float:
        """Tokens of all completions."""
        return self.completions * self.mean


@dataclass(frozen=True)
class Trained:
    """A number of sequences to train on."""

    sequences: float
    """Sequences over all epochs."""
    length: float
    """Mean tokens of a sequence, prompt included."""
    steps: int
    longest: int
    """Tokens of the longest possible sequence."""
    forwards: int
    """Additional forward passes, for log-probabilities of the old policy and of the reference model."""
    precision: Precision
    reference: bool = False
    lora: Lora | None = None
    head: Head = "tiles"
    of_a_row: int = 1
    """Sequences that stay together in a pass: two of a preference pair."""

    @property
    def tokens(self) -> float:
        """Tokens of all sequences."""
        return self.sequences * self.length

    def adapters(self, shape: Shape) -> int | None:
        """Parameters of the adapters of a model; None where it is trained whole."""
        return self.lora.trainable(shape.linears) if self.lora else None


@dataclass(frozen=True)
class Scorer:
    """A reward model that scores completions."""

    shape: Shape
    precision: Precision
    longest: int
    """Tokens of the longest text that it scores."""


@dataclass(frozen=True)
class Work:
    """The sampling and training of one model for one artifact."""

    shape: Shape
    sampled: Sampled | None = None
    trained: Trained | None = None
    scorers: tuple[Scorer, ...] = ()
    """The reward models that score in this stage."""

    @property
    def tokens(self) -> float:
        """Tokens sampled and trained on."""
        return sum(part.tokens for part in (self.sampled, self.trained) if part)

    def within(self, budget: float) -> "Work":
        """Returns the part of an RL run that a budget of tokens covers."""
        share = min(1.0, budget / self.tokens)
        assert self.sampled and self.trained
        return replace(
            self,
            sampled=replace(self.sampled, completions=round(share * self.sampled.completions)),
            trained=replace(
                self.trained, sequences=share * self.trained.sequences, steps=round(share * self.trained.steps)
            ),
        )


@dataclass(frozen=True)
class Rows:
    """The expected rows of a corpus."""

    count: float
    mean: float
    """Mean tokens of a response."""


@dataclass(frozen=True)
class _Planner:
    bound: Bound
    forecast: Forecast

    def work(self, name: AssetName) -> Work | None:
        """Returns the work behind one artifact; None if it needs no accelerator."""
        recipe = self.bound.recipe(name)
        if isinstance(recipe, PretrainRecipe):
            return self._pretrain(recipe)
        if isinstance(recipe, ReinforceRecipe):
            return self._reinforce(name, recipe)
        if isinstance(recipe, SamplingRecipe):
            return self._sample(name, recipe)
        if isinstance(recipe, RewriteRecipe) and isinstance(recipe.keep.writer, ByCheckpoint):
            return self._rewrite(name, recipe, recipe.keep.writer)
        if isinstance(recipe, WarmUpRecipe):
            return self._warm_up(name, recipe)
        if isinstance(recipe, SftRecipe):
            return self._tune(name, recipe)
        if isinstance(recipe, RewardModelRecipe):
            return self._prefer(name, recipe)
        return None

    def shape(self, name: AssetName) -> Shape:
        """Returns the shape of a model, that of the base it descends from."""
        recipe = self.bound.recipe(name)
        if isinstance(recipe, PretrainRecipe | ImportRecipe):
            return recipe.shape
        return self.shape(self._input(name, "policy", "base", "model"))

    def rows(self, name: AssetName) -> Rows:
        """Returns the rows that a corpus is expected to hold."""
        recipe = self.bound.recipe(name)
        if isinstance(recipe, RejectionRecipe):
            return Rows(self._kept(recipe), self.forecast.reasoning)
        if isinstance(recipe, GeneralRecipe | SampleGeneralRecipe):
            return Rows(self.forecast.general_rows, self.forecast.general)
        if isinstance(recipe, ToyCorpusRecipe):
            return self.rows(self._input(name, "budget"))
        parts = [self.rows(part) for part in self.bound.inputs(name)["parts"].values()]
        total = sum(part.count for part in parts)
        return Rows(total, sum(part.count * part.mean for part in parts) / total)

    def _input(self, name: AssetName, *parameters: str) -> AssetName:
        given = self.bound.inputs(name)
        found: AssetName = next(given[parameter] for parameter in parameters if parameter in given)
        return found

    def _expected(self, name: AssetName) -> float:
        """Returns the expected tokens of a reasoning completion at this node."""
        return float(getattr(self.forecast, self.bound.graph.node(name.asset).expects))

    def _pretrain(self, recipe: PretrainRecipe) -> Work:
        length = self.forecast.prompt + self.forecast.reasoning
        rows = recipe.steps * recipe.batch
        trained = Trained(rows, length, recipe.steps, recipe.context, 0, "float32", head="logits")
        return Work(recipe.shape, trained=trained)

    def _reinforce(self, name: AssetName, recipe: ReinforceRecipe) -> Work:
        grpo = recipe.grpo
        batch = grpo.prompts_per_step * grpo.group_size
        mean = min(self._expected(name), grpo.max_completion_tokens)
        completions = grpo.steps * batch // grpo.num_iterations * (1 + recipe.schedule.resample)
        stale = grpo.steps_per_generation * grpo.num_iterations > 1 or isinstance(grpo.rollouts, VllmRollouts)
        longest = round(self.forecast.prompt) + grpo.max_completion_tokens
        whole = Work(
            self.shape(name),
            Sampled(completions, self.forecast.prompt, mean, grpo.max_completion_tokens, grpo.rollout, grpo.rollouts),
            Trained(
                sequences=grpo.steps * batch,
                length=self.forecast.prompt + mean,
                steps=grpo.steps,
                longest=longest,
                forwards=int(stale) + int(grpo.beta > 0),
                precision=grpo.precision,
                lora=grpo.lora,
                reference=grpo.beta > 0,
            ),
            tuple(self._scorer(model, longest) for model in self._reward_models(name)),
        )
        budget = self.bound.inputs(name).get("budget")
        paid = self.work(budget) if budget else None
        return whole.within(paid.tokens) if paid else whole

    def _reward_models(self, name: AssetName) -> list[AssetName]:
        return list(self.bound.inputs(name).get("reward_models", {}).values())

    def _scorer(self, name: AssetName, longest: int) -> Scorer:
        recipe = self.bound.recipe(name)
        assert isinstance(recipe, RewardModelRecipe)
        return Scorer(self.shape(name), recipe.precision, longest)

    def _sample(self, name: AssetName, recipe: SamplingRecipe) -> Work:
        limit = recipe.sampling.max_tokens
        general = recipe.problems.get("general", 0)
        reasoning = sum(recipe.problems.values()) - general
        tokens = reasoning * self.forecast.reasoning + general * self.forecast.general
        mean = tokens / max(1, reasoning + general)
        share = recipe.shard.of if recipe.shard else 1
        completions = -(-(reasoning + general) * recipe.samples // share)
        return Work(
            self.shape(name), Sampled(completions, self.forecast.prompt, min(mean, limit), limit, None, recipe.engine)
        )

    def _rewrite(self, name: AssetName, recipe: RewriteRecipe, how: ByCheckpoint) -> Work:
        """Returns the work of rewriting every correct, readable completion; instructions count one token per word."""
        completions = round(sum(recipe.ask.problems.values()) * recipe.ask.samples * self.forecast.kept)
        prompt = len(INSTRUCTIONS.split()) + self.forecast.prompt + self.forecast.reasoning
        limit = how.sampling.max_tokens
        mean = min(self.forecast.reasoning, limit)
        return Work(
            self.shape(self._input(name, "writer")), Sampled(completions, prompt, mean, limit, None, how.engine)
        )

    def _kept(self, recipe: RejectionRecipe) -> float:
        """Returns the number of rows that rejection sampling is expected to keep."""
        of_one = min(recipe.keep.per_problem, recipe.ask.samples * self.forecast.kept)
        share = recipe.ask.shard.of if recipe.ask.shard else 1
        return sum(recipe.ask.problems.values()) * of_one / share

    def _warm_up(self, name: AssetName, recipe: WarmUpRecipe) -> Work:
        return Work(
            self.shape(name),
            trained=Trained(
                sequences=recipe.epochs * recipe.rows,
                length=min(self.forecast.prompt, recipe.max_tokens),
                steps=recipe.steps(recipe.rows),
                longest=recipe.max_tokens,
                forwards=0,
                precision=recipe.precision,
            ),
        )

    def _tune(self, name: AssetName, recipe: SftRecipe) -> Work:
        rows = self.rows(self._input(name, "corpus"))
        return Work(
            self.shape(name),
            trained=Trained(
                sequences=recipe.epochs * rows.count,
                length=min(self.forecast.prompt + rows.mean, recipe.max_tokens),
                steps=recipe.steps(round(rows.count)),
                longest=recipe.max_tokens,
                forwards=0,
                precision=recipe.precision,
                lora=recipe.lora,
            ),
        )

    def _prefer(self, name: AssetName, recipe: RewardModelRecipe) -> Work:
        return Work(
            self.shape(name),
            trained=Trained(
                sequences=2 * recipe.epochs * self.forecast.pairs,
                length=min(self.forecast.prompt + self.forecast.general, recipe.max_tokens),
                steps=recipe.steps(self.forecast.pairs),
                longest=2 * recipe.max_tokens,
                forwards=0,
                precision=recipe.precision,
                lora=recipe.lora,
                head="score",
                of_a_row=2,
            ),
        )


def work_of(profile: Profile) -> dict[AssetName, Work]:
    """Returns the work behind every artifact that needs an accelerator, in the order of the graph."""
    plan = _Planner(profile.bound, profile.forecast)
    found = {name: plan.work(name) for name in profile.bound.names.values()}
    return {name: work for name, work in found.items() if work}
