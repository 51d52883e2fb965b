"""This module trains a policy by reinforcement learning with TRL's `GRPOTrainer`, in the paper's terms.

A rollout samples G completions of `prompts_per_step * steps_per_generation` problems, grades them, computes advantages
per problem (paper eq. 3), shuffles all completions, and uses them in `steps_per_generation` optimizer steps. Problems
come in training order; each reward part decides to which problems it applies. Not covered: rewards
(`r1_pipeline.rewards`), the objective of an update (`objectives`), the order of problems (stages).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.data.templates import FORMS, StopRule, TemplateName, stops_in
from r1_pipeline.engines import AnyRollouts, Transformers, VllmRollouts
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.decoding import decode
from r1_pipeline.generation.device import load_options
from r1_pipeline.generation.tokens import end_tokens, load_tokenizer, prompt_in
from r1_pipeline.recipe import AddedField, Precision, Recipe, Runtime
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.format_check import empty_think
from r1_pipeline.rewards.rubric import Log, Part, PartFn, Rubric, weights_at
from r1_pipeline.training.annealing import annealing
from r1_pipeline.training.callbacks import METRICS, Guards
from r1_pipeline.training.critic import Critic, criticized, keep_critic, value_model
from r1_pipeline.training.dynamic_sampling import require_whole_groups, resampling
from r1_pipeline.training.lora import Lora, adapter_arguments, require_trainable
from r1_pipeline.training.objective_trainer import trainer_class
from r1_pipeline.training.objectives import OBJECTIVES, AnyObjective, objective_arguments
from r1_pipeline.training.portions import in_portions
from r1_pipeline.training.precision import casting_once, with_precision
from r1_pipeline.training.reference_model import keep_reference
from r1_pipeline.training.rollout_log import RolloutLog, recording, rewinding
from r1_pipeline.training.rollouts import agreement_callback, rollout_arguments, rollout_settings
from r1_pipeline.training.run_trainer import UNCHANGED, changed, common_arguments, publish, run_trainer
from r1_pipeline.training.stops import Judged, stopping, stopping_generate

if TYPE_CHECKING:
    from transformers import TrainerCallback


class GrpoRecipe(Recipe):
    """The recipe of reinforcement learning; the paper's values (R1-Zero, RL stage 1) in brackets."""

    steps: int
    """The number of optimizer steps [10,400]."""
    prompts_per_step: int
    """The number of problems of one optimizer step [32]."""
    group_size: int
    """The number G of completions of each problem, whose mean and deviation give the advantages [16]."""
    steps_per_generation: int
    """The number of minibatches of a rollout, one optimizer step each [16]; the last is that many steps stale."""
    num_iterations: int
    """The number of inner epochs over a rollout [1]."""
    learning_rate: float
    """The peak learning rate [3e-6]."""
    schedule: Literal["constant_with_warmup", "linear", "cosine"]
    """The schedule of the learning rate after warm-up; not published."""
    warmup_steps: int
    """The number of steps of linear warm-up, at most half of all; not published."""
    epsilon: float
    """The clip range of the ratio, [1 - epsilon, 1 + epsilon] [10, that is -9 to 11: only rising tokens are ever
    clipped]."""
    beta: float
    """The weight of the KL term of the loss [0.001]; 0 needs no reference model."""
    reference_sync_steps: int | None
    """The number of steps after which the reference becomes the policy [400]; None keeps it fixed."""
    temperature: float
    """The temperature of rollouts [1.0; 0.7 in RL stage 2]; log-probabilities are taken at the same temperature."""
    top_p: float
    """The nucleus mass of rollouts; below 1, samples and log-probabilities belong to different distributions."""
    max_completion_tokens: int
    """The maximum number of tokens of a completion; longer ones are cut off and graded as truncated [32,768, then
    65,536]."""
    max_grad_norm: float
    """The maximum norm of the gradients, which are scaled down to it; not published."""
    weight_decay: float
    """The weight decay of AdamW; not published."""
    save_steps: int
    """The number of optimizer steps between checkpoints; a whole number of rollouts, else a resumed run would
    differ."""
    seed: int
    """The seed of sampling and of the shuffle."""
    guards: Guards
    """The limits that stop a run that has gone wrong."""
    objective: Annotated[AnyObjective, AddedField()] = OBJECTIVES["grpo"]
    """The objective of an update; `epsilon` is its clip range unless it has its own."""
    precision: Annotated[Precision, AddedField()] = "float32"
    """The precision of the matrix products; not published for this stage."""
    rollouts: Annotated[AnyRollouts, AddedField()] = Transformers()
    """The engine of the rollouts: the trainer's own model, or vLLM with importance sampling."""
    stop: Annotated[StopRule, AddedField()] = ()
    """The strings that end a completion without truncation [not published]; `form`: those of the prompt form."""
    expert_bias_rate: Annotated[float, AddedField()] = 0.0
    """The step size of routers' biases towards even expert load [not published]; 0 changes none
    (`training.experts`)."""
    lora: Annotated[Lora | None, AddedField()] = None
    """The adapters that are trained instead of the weights and merged in the end; None trains all weights."""
    generated_tokens: Annotated[int | None, AddedField(), Field(ge=1)] = None
    """The number of generated tokens after which the run ends before its last step; None for no limit."""
    critic: Annotated[Critic | None, AddedField()] = None
    """The critic that gives each token an advantage, which makes the run PPO; None is the paper's GRPO."""

    def model_post_init(self, _: Any) -> None:
        self.check()

    @property
    def problems(self) -> int:
        """The number of problems that the run needs, in training order; one may occur several times."""
        return self.steps * self.prompts_per_step // self.num_iterations

    @property
    def rollout(self) -> int:
        """The number of completions sampled at once."""
        return self.prompts_per_step * self.group_size * self.steps_per_generation

    def check(self) -> None:
        """Raises `RecipeError` for a recipe that cannot be run, or not resumed exactly."""
        rollout = self.steps_per_generation * self.num_iterations
        for name in ("steps", "save_steps"):
            if getattr(self, name) % rollout:
                raise RecipeError(
                    f"{name} is {getattr(self, name)}, not a multiple of the {rollout} steps of a rollout "
                    f"(steps_per_generation {self.steps_per_generation} x num_iterations {self.num_iterations})"
                )
        if self.group_size < 2:
            raise RecipeError(f"group_size is {self.group_size}; advantages need at least 2")
        if self.beta == 0 and self.reference_sync_steps is not None:
            raise RecipeError("beta is 0, so there is no reference to refresh; set reference_sync_steps to None")
        if self.objective.loss == "vespo" and isinstance(self.rollouts, VllmRollouts) and not self.rollouts.by_token:
            raise RecipeError(
                "loss 'vespo' needs a weight for each token; set correction of rollouts to token_truncate"
            )
        if self.rollouts == Transformers(dtype="bfloat16"):
            raise RecipeError("rollouts of the trainer's own model have its precision; leave out their dtype")
        if self.expert_bias_rate and isinstance(self.rollouts, VllmRollouts):
            raise RecipeError("vLLM receives parameters only, not routers' biases; set expert_bias_rate to 0")
        require_trainable(self, self.expert_bias_rate)
        if self.lora and self.reference_sync_steps is not None:
            raise RecipeError("LoRA's reference is the model without adapters; set reference_sync_steps to None")
        self._check_critic(self.critic)
        if self.lora and self.lora.dropout:
            raise RecipeError("a policy with dropout is not the one that sampled; set dropout of lora to 0")

    def _check_critic(self, critic: Critic | None) -> None:
        if critic is None:
            return
        plain = self.objective.but(importance="token", baseline="group", scale_rewards="group", parts="summed")
        if plain != self.objective:
            raise RecipeError(
                "a critic gives every token its own advantage; leave importance, baseline, scale_rewards and parts of "
                "the objective at their defaults"
            )
        if self.lora:
            raise RecipeError("a critic is trained whole, and lora is set to spare memory; set one of them to None")
        if critic.warmup_steps >= self.steps:
            raise RecipeError(
                f"the critic warms up for {critic.warmup_steps} of {self.steps} steps; leave some to train"
            )


def train_grpo(  # noqa: PLR0913 - as many as a run has inputs
    policy: Path,
    problems: Sequence[Problem],
    template: TemplateName,
    parts: Mapping[Part, PartFn],
    weights: Rubric | Mapping[Part, float],
    recipe: GrpoRecipe,
    runtime: Runtime,
    draft: Draft,
    token_budget: int | None = None,
    rollouts: RolloutLog | None = None,
    resample: int = 0,
) -> None:
    """Trains the model in `policy` on `problems`, one for each prompt in order, and writes it to `draft.path`.

    `parts` are the reward functions, with their `weights`, or the rubric that has them and may anneal some. A run with
    a token budget ends once it has generated and trained on that many tokens. `rollouts` keeps what was sampled. With
    `resample`, flat groups are replaced up to that often, and `problems` has as many further lists of problems that
    replace the first ones (`dynamic_sampling`). Raises `RecipeError` for a recipe that cannot run or a wrong number of
    problems, and `GuardTrippedError` if a guard trips.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM

    recipe.check()  # again: `model_copy` does not
    if len(problems) != (needed := recipe.problems * (1 + resample)):
        raise RecipeError(f"{len(problems)} problems were given, {recipe.steps} steps need {needed}")
    require_whole_groups(recipe.rollout, recipe.group_size, runtime.launcher.ranks, resample)
    critic = value_model(policy, recipe.critic, runtime, resample)
    adapters = adapter_arguments(recipe.lora, policy, "CAUSAL_LM", runtime)
    stops, first = stops_in(template, recipe.stop), weights.weights if isinstance(weights, Rubric) else weights
    weights_of = partial(weights_at, weights) if isinstance(weights, Rubric) else lambda _: first
    arguments = _arguments(recipe, runtime, draft, [first[name] for name in parts], stops)
    tokenizer = load_tokenizer(policy)
    prompts = [prompt_in(template, problem.question, tokenizer) for problem in problems]
    tokenizer.split_special_tokens = not FORMS[template].own
    model = AutoModelForCausalLM.from_pretrained(policy, dtype="float32", **load_options(runtime))
    model = with_precision(model, recipe.precision, runtime.device)
    judged = Judged(template, stops, frozenset(end_tokens(policy, tokenizer)))
    kind = criticized(trainer_class(recipe.objective), critic)
    sampling = recording(stopping(kind, tokenizer, stops), rollouts, weights_of)
    trainer = resampling(sampling, prompts, recipe.problems, resample, rollouts)(
        model=model,
        reward_funcs=[_reward_function(name, part, problems, recipe, judged, rollouts) for name, part in parts.items()],
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": prompts[: recipe.problems], "row": list(range(recipe.problems))}),
        processing_class=tokenizer,
        **adapters,
    )
    if isinstance(recipe.rollouts, Transformers) and runtime.launcher.keeps == "ddp":
        model.generate = casting_once(partial(model.generate, custom_generate=decode), recipe.precision, runtime.device)
    if isinstance(recipe.rollouts, Transformers):
        model.generate = stopping_generate(model.generate, tokenizer, stops)
        model.generate = in_portions(model.generate, runtime, recipe.max_completion_tokens)
    if (place := rollout_settings(recipe.rollouts, runtime)) is not None:
        trainer.add_callback(agreement_callback(place.max_mismatch))
    further = (
        keep_reference(trainer) if recipe.reference_sync_steps is not None else None,
        keep_critic(critic) if critic else None,
        annealing(trainer, weights) if isinstance(weights, Rubric) and weights.annealed else None,
        rewinding(rollouts) if rollouts is not None else None,
        _stop_at(token_budget, recipe) if token_budget is not None or recipe.generated_tokens is not None else None,
    )
    for callback in filter(None, further):
        trainer.add_callback(callback)
    run_trainer(trainer, draft, runtime, recipe.steps, recipe.guards, recipe.expert_bias_rate)
    publish(trainer, policy, draft)
    if draft.leads and not changed(policy, draft.path):  # honest where a policy never earns a reward: so no error
        draft.note(f"{UNCHANGED}: in every group all replies were rewarded alike, or the learning rate is too low")


def _arguments(recipe: GrpoRecipe, runtime: Runtime, draft: Draft, weights: list[float], stops: Sequence[str]) -> Any:
    from trl import GRPOConfig

    batch = recipe.prompts_per_step * recipe.group_size
    common = common_arguments(
        draft, runtime, batch=batch, save_steps=recipe.save_steps, seed=recipe.seed, precision=recipe.precision
    )
    return GRPOConfig(
        **common,
        max_steps=recipe.steps,
        num_generations=recipe.group_size,
        steps_per_generation=recipe.steps_per_generation * common["gradient_accumulation_steps"],
        num_iterations=recipe.num_iterations,
        shuffle_dataset=False,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        reward_weights=weights,
        **objective_arguments(recipe.objective, recipe.epsilon),
        beta=recipe.beta,
        sync_ref_model=recipe.reference_sync_steps is not None,
        ref_model_mixup_alpha=1.0,
        ref_model_sync_steps=recipe.reference_sync_steps or recipe.steps,
        temperature=recipe.temperature,
        top_p=recipe.top_p,
        max_completion_length=recipe.max_completion_tokens,
        **rollout_arguments(recipe.rollouts, runtime, stops),
    )


def _reward_function(
    name: str,
    part: PartFn,
    problems: Sequence[Problem],
    recipe: GrpoRecipe,
    judged: Judged,
    rollouts: RolloutLog | None,
) -> Callable[..., list[float | None]]:
    """Returns the function that TRL calls for one part; it makes records of the columns and passes a score of None
    through."""

    def reward(
        prompts: list[str],
        completions: list[str],
        completion_ids: list[list[int]],
        row: list[int],
        log_metric: Log,
        **_: Any,
    ) -> list[float | None]:
        batch = [problems[index] for index in row]
        replies = [
            Completion(
                problem_id=problem.id,
                sample_index=index % recipe.group_size,
                seed=recipe.seed,
                text=judged.text(prompt, text),
                token_ids=tuple(ids),
                finish_reason=judged.finish(text, ids),
                engine="trl",
            )
            for index, (problem, prompt, text, ids) in enumerate(
                zip(batch, prompts, completions, completion_ids, strict=True)
            )
        ]
        log_metric("empty_think", sum(empty_think(done.text) for done in replies) / len(replies))
        scores = part(batch, replies, log_metric)
        if rollouts is not None:
            rollouts.rewarded(name, row, batch, replies, scores)
        return scores

    reward.__name__ = name
    return reward


def tokens_spent(log: Iterable[Mapping[str, Any]], recipe: GrpoRecipe) -> dict[str, int]:
    """Returns the tokens `generated` and `trained` (prompts included, every inner epoch) in a run, from its step
    logs; those of replaced groups are generated, and not trained on."""
    rows = [row for row in log if "mean_tokens" in row]
    return {
        "generated": round(sum(row["mean_tokens"] * row.get("sampled", recipe.rollout) for row in rows)),
        "trained": int(rows[-1]["tokens"]) * recipe.num_iterations if rows else 0,
    }


def _stop_at(budget: int | None, recipe: GrpoRecipe) -> "TrainerCallback":
    """Returns a callback that ends training when the budget, or the recipe's limit of generated tokens, is spent; the
    trainer's history has the tokens before a resume."""
    from transformers import TrainerCallback

    class StopAtBudget(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            log = [
                {ours: row[theirs] for theirs, ours in METRICS.items() if theirs in row} for row in state.log_history
            ]
            spent = tokens_spent(log, recipe)
            if sum(spent.values()) >= (math.inf if budget is None else budget):
                control.should_training_stop = True
            if spent["generated"] >= (recipe.generated_tokens or math.inf):
                control.should_training_stop = True

    return StopAtBudget()
