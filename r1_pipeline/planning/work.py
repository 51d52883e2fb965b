"""What each asset of a profile amounts to: how much is sampled, how much is trained, with which model.

Counts come from the recipe, lengths and yields from the profile's forecast.
Assets that only move rows (curation, merging) need no accelerator and are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from r1_pipeline.generation.asking import AskRecipe
from r1_pipeline.generation.rejection import RejectionRecipe
from r1_pipeline.profiles import Forecast, PipelineRecipe, Profile
from r1_pipeline.recipe import Precision
from r1_pipeline.stages import BaseRecipe, ReinforceRecipe
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.training.reward_model import RewardModelRecipe
from r1_pipeline.training.sft import SftRecipe
from r1_pipeline.training.shape import Shape

LINE = ("base", "r1_zero", "dev1", "dev2", "dev2_no_language_reward", "dev3", "r1")
"""Models of the base's size that are evaluated; one more has the size of a student."""


@dataclass(frozen=True)
class Sampled:
    """Completions to be sampled."""

    completions: int
    prompt: float
    mean: float
    """Tokens of a completion."""
    limit: int
    at_once: int | None
    """Completions of a rollout, which ends before the next begins; None: one long queue."""

    @property
    def tokens(self) -> float:
        return self.completions * self.mean


@dataclass(frozen=True)
class Trained:
    """Sequences to be trained on."""

    sequences: float
    """Every epoch counted."""
    length: float
    """Tokens, prompt included."""
    steps: int
    longest: int
    """Tokens of the longest sequence that may come."""
    forwards: int
    """Forward passes beside that of training: log-probabilities of the old policy and of the reference."""
    precision: Precision
    reference: bool = False

    @property
    def tokens(self) -> float:
        return self.sequences * self.length


@dataclass(frozen=True)
class Work:
    """One model at one task."""

    shape: Shape
    sampled: Sampled | None = None
    trained: Trained | None = None

    @property
    def tokens(self) -> float:
        """Sampled and trained on."""
        return sum(part.tokens for part in (self.sampled, self.trained) if part)

    def within(self, budget: float) -> "Work":
        """The part of reinforcement that a budget of tokens pays for."""
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
class _Planner:
    recipe: PipelineRecipe
    forecast: Forecast

    def reinforce(self, shape: Shape, recipe: ReinforceRecipe, mean: float) -> Work:
        grpo = recipe.grpo
        batch = grpo.prompts_per_step * grpo.group_size
        mean = min(mean, grpo.max_completion_tokens)
        completions = grpo.steps * batch // grpo.num_iterations
        stale = grpo.steps_per_generation * grpo.num_iterations > 1
        return Work(
            shape,
            Sampled(completions, self.forecast.prompt, mean, grpo.max_completion_tokens, grpo.rollout),
            Trained(
                sequences=grpo.steps * batch,
                length=self.forecast.prompt + mean,
                steps=grpo.steps,
                longest=round(self.forecast.prompt) + grpo.max_completion_tokens,
                forwards=int(stale) + int(grpo.beta > 0),
                precision=grpo.precision,
                reference=grpo.beta > 0,
            ),
        )

    def sample(self, shape: Shape, recipe: AskRecipe, mean: float) -> Work:
        limit = recipe.sampling.max_tokens
        completions = sum(recipe.problems.values()) * recipe.samples
        return Work(shape, Sampled(completions, self.forecast.prompt, min(mean, limit), limit, None))

    def kept(self, recipe: RejectionRecipe) -> float:
        """Rows that rejection sampling is expected to keep."""
        of_one = min(recipe.keep.per_problem, recipe.ask.samples * self.forecast.kept)
        return sum(recipe.ask.problems.values()) * of_one

    def tune(self, shape: Shape, recipe: SftRecipe, rows: float, mean: float) -> Work:
        return Work(
            shape,
            trained=Trained(
                sequences=recipe.epochs * rows,
                length=min(self.forecast.prompt + mean, recipe.max_tokens),
                steps=recipe.steps(round(rows)),
                longest=recipe.max_tokens,
                forwards=0,
                precision=recipe.precision,
            ),
        )

    def prefer(self, shape: Shape, recipe: RewardModelRecipe) -> Work:
        return Work(
            shape,
            trained=Trained(
                sequences=2 * recipe.epochs * self.forecast.pairs,
                length=min(self.forecast.prompt + self.forecast.general, recipe.max_tokens),
                steps=recipe.steps(self.forecast.pairs),
                longest=2 * recipe.max_tokens,
                forwards=0,
                precision=recipe.precision,
            ),
        )

    def evaluate(self, shape: Shape) -> Work:
        ask = self.recipe.evaluation.ask
        general = ask.problems.get("general", 0)
        reasoning = sum(ask.problems.values()) - general
        limit = ask.sampling.max_tokens
        mean = (reasoning * self.forecast.reasoning + general * self.forecast.general) / max(1, reasoning + general)
        completions = (reasoning + general) * ask.samples
        return Work(shape, Sampled(completions, self.forecast.prompt, min(mean, limit), limit, None))

    def pretrain(self, recipe: BaseRecipe) -> Work | None:
        """Nothing for a base that exists."""
        if not isinstance(recipe, PretrainRecipe):
            return None
        length = self.forecast.prompt + self.forecast.reasoning
        rows = recipe.steps * recipe.batch
        return Work(recipe.shape, trained=Trained(rows, length, recipe.steps, recipe.context, 0, "float32"))


def work_of(profile: Profile) -> Mapping[str, Work]:
    """Asset key, partition after a slash -> the work behind it, in the order of the graph."""
    recipe, expected = profile.recipe, profile.forecast
    plan = _Planner(recipe, expected)
    base = recipe.base.shape
    students = {name: student.shape for name, student in recipe.student_base.items()}
    cold_rows = plan.kept(recipe.cold_start_data)
    reasoning_rows = sum(plan.kept(part) for part in recipe.domain_traces.values())
    rows = reasoning_rows + expected.general_rows
    row = (reasoning_rows * expected.reasoning + expected.general_rows * expected.general) / rows
    distilled = {name: plan.tune(students[name], sft, rows, row) for name, sft in recipe.distilled.items()}
    alone = plan.reinforce(students["qwen"], recipe.student_rl_only, expected.reasoning)
    work = {
        "base": plan.pretrain(recipe.base),
        **{f"student_base/{name}": plan.pretrain(student) for name, student in recipe.student_base.items()},
        "r1_zero": plan.reinforce(base, recipe.r1_zero, expected.zero),
        "cold_start_data": plan.sample(base, recipe.cold_start_data.ask, expected.reasoning),
        "dev1": plan.tune(base, recipe.dev1, cold_rows, expected.reasoning),
        "dev2": plan.reinforce(base, recipe.dev2, expected.reasoning),
        "dev2_no_language_reward": plan.reinforce(base, recipe.dev2_no_language_reward, expected.reasoning),
        **{
            f"reasoning_traces/{domain}": plan.sample(base, part.ask, expected.reasoning)
            for domain, part in recipe.domain_traces.items()
        },
        "dev3": plan.tune(base, recipe.dev3, rows, row),
        "helpful_rm": plan.prefer(base, recipe.helpful_rm),
        "safety_rm": plan.prefer(base, recipe.safety_rm),
        "r1": plan.reinforce(base, recipe.r1, expected.reasoning),
        **{f"distilled/{name}": work for name, work in distilled.items()},
        "student_rl_only": alone.within(distilled["qwen"].tokens),
        **{f"evaluation/{model}": plan.evaluate(base) for model in LINE},
        "evaluation/student_rl_only": plan.evaluate(students["qwen"]),
        **{f"evaluation/student_base/{name}": plan.evaluate(shape) for name, shape in students.items()},
        **{f"evaluation/distilled/{name}": plan.evaluate(shape) for name, shape in students.items()},
    }
    return {name: part for name, part in work.items() if part}
