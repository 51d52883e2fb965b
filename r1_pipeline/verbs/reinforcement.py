"""The verb that trains a policy by reinforcement learning."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    Difficulty,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.curation import record_dropped
from r1_pipeline.data.difficulty import select_problems
from r1_pipeline.data.prompt_schedule import PromptSchedule, order_prompts
from r1_pipeline.data.templates import TemplateName, form_identity
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.tokens import fitting_problems
from r1_pipeline.recipe import AddedField, Recipe, require_optional
from r1_pipeline.records import DOMAINS, REASONING_DOMAINS, PreferenceKind
from r1_pipeline.rewards.graders import default_grader, grader_identity
from r1_pipeline.rewards.language import language_identity
from r1_pipeline.rewards.rubric import Rubric, part_functions
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.grpo import GrpoRecipe, tokens_spent, train_grpo
from r1_pipeline.training.model_stats import model_statistics
from r1_pipeline.training.objectives import objective_identity
from r1_pipeline.training.reward_model import scorer_of, scoring_identity
from r1_pipeline.training.rollout_log import RolloutLog
from r1_pipeline.training.rollouts import rollout_identity
from r1_pipeline.verbs.versions import verb


class ReinforceRecipe(Recipe):
    """The recipe of one RL run: its prompts, rewards and policy updates."""

    template: TemplateName
    rubric: Rubric
    schedule: PromptSchedule
    grpo: GrpoRecipe
    kept_rollouts: Annotated[float, AddedField(), Field(ge=0, le=1)] = 1.0
    """The share of prompts whose rollouts are stored with the checkpoint, each with its whole group."""

    def model_post_init(self, _: object) -> None:
        self.check()

    def check(self) -> None:
        """Raises `RecipeError` for a schedule and an objective that do not go together."""
        self.schedule.check()
        if self.schedule.resample and self.grpo.objective.of_whole_rollout:
            raise RecipeError(
                "resample replaces groups one by one, and the advantages of this objective depend on the whole "
                "rollout; take one of single groups, such as 'grpo' or 'dapo', or set resample to 0"
            )

    def optional_inputs(self) -> Mapping[str, bool]:
        """Returns that pass rates are needed if the schedule uses them; other inputs are free."""
        return {"difficulty": self.schedule.difficulty is not None}


@verb("training")
def reinforce(
    context: BuildContext,
    policy: Checkpoint,
    problems: ProblemSet,
    recipe: ReinforceRecipe,
    general: ProblemSet | None = None,
    reward_models: Mapping[PreferenceKind, RewardModel] | None = None,
    budget: Checkpoint | None = None,
    difficulty: Difficulty | None = None,
) -> Build[Checkpoint]:
    """Trains `policy` by GRPO, without a critic, on `problems` and `general` prompts (paper, sections 2 and B.5).

    Rules reward reasoning; `reward_models`, one per kind of preference, reward replies to `general`. With `budget`,
    training stops once it has generated and trained on as many tokens as making `budget` took. The pass rates of
    `difficulty` choose, order and weigh `problems` as the schedule says.

    Raises `RecipeError` for sets that do not fill the schedule, and for a schedule by difficulty without one;
    `GuardTrippedError` if a training guard stops the run.
    """
    recipe.check()  # again: `model_copy` does not
    require_optional(context.name, recipe, {"difficulty": difficulty})
    models = dict(reward_models or {})
    inputs: dict[str, Artifact] = {"policy": policy, "problems": problems}
    inputs |= {str(kind): model for kind, model in models.items()}
    if general is not None:
        inputs["general"] = general
    if budget is not None:
        inputs["budget"] = budget
    if difficulty is not None:
        inputs["difficulty"] = difficulty

    def make(draft: Draft) -> BuildResult:
        asked, dropped = fitting_problems(
            problems.problems(), policy.path, recipe.template, recipe.grpo.max_completion_tokens
        )
        others, also = fitting_problems(
            general.problems() if general else [], policy.path, recipe.template, recipe.grpo.max_completion_tokens
        )
        rates = difficulty.pass_rates() if difficulty else None
        if rates is not None and recipe.schedule.difficulty:
            asked, unfit = select_problems(recipe.schedule.difficulty, asked, rates)
            if gone := {row.domain for row in problems.problems()} - {row.domain for row in asked}:
                draft.note(f"no problem of {', '.join(sorted(gone))} is left to ask; other domains take its share")
            dropped = [*dropped, *unfit]
        drops = record_dropped(draft, [*dropped, *also])
        prompts = order_prompts(
            recipe.schedule,
            asked,
            others,
            steps=recipe.grpo.problems // recipe.grpo.prompts_per_step,
            prompts_per_step=recipe.grpo.prompts_per_step,
            rates=rates,
        )
        scorers = {kind: scorer_of(model, context.runtime) for kind, model in models.items()}
        with default_grader(context.runtime) as grader:
            resample = recipe.schedule.resample
            kept = RolloutLog(draft, recipe.template, recipe.kept_rollouts, replaces=resample > 0)
            parts = part_functions(recipe.rubric, grader, recipe.template, scorers, kept.judged)
            train_grpo(
                policy.path,
                prompts,
                recipe.template,
                parts,
                recipe.rubric,
                recipe.grpo,
                context.runtime,
                draft,
                token_budget=sum(budget.tokens.values()) if budget else None,
                rollouts=kept,
                resample=resample,
            )
        spent = tokens_spent(read_metrics(draft.metrics), recipe.grpo)
        facts = model_statistics(draft, recipe.template, spent, recipe.grpo.lora)
        stored = {"rollouts": kept.publish(draft.path)} if draft.leads else {}
        return replace(facts, drops=drops, statistics={**facts.statistics, **stored})

    consistency = language_identity() if "language" in recipe.rubric.weights else {}
    judged = {*REASONING_DOMAINS, *(name for name in problems.by_domain if DOMAINS[name].reasoning)}
    judges, drawn = grader_identity(judged, problems), rollout_identity(recipe.grpo.rollouts)
    form = form_identity(recipe.template, recipe.grpo.stop)
    scored = scoring_identity(models.values())
    tool_versions = {**judges, **consistency, **drawn, **objective_identity(recipe.grpo.objective), **form, **scored}
    return Build(Checkpoint, recipe, inputs, make, tool_versions)
