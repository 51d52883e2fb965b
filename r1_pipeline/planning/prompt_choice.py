"""Sentences for `r1 plan` about nodes whose prompts are chosen by difficulty, or whose flat groups are replaced."""

from collections.abc import Iterator

from r1_pipeline.evaluation.difficulty import DifficultyRecipe, RolloutDifficultyRecipe
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import AssetName
from r1_pipeline.verbs import ReinforceRecipe


def prompt_choices(bound: Bound) -> Iterator[str]:
    """Yields one sentence for each node that chooses its prompts by pass rates, and each that replaces flat groups."""
    for name in bound.names.values():
        recipe = bound.recipe(name)
        if not isinstance(recipe, ReinforceRecipe):
            continue
        if recipe.schedule.difficulty is not None:
            rates = bound.inputs(name)["difficulty"]
            yield f"{name} {recipe.schedule.difficulty.sentence()}, which {rates} measures {_measured(bound, rates)}"
        if times := recipe.schedule.resample:
            yield (
                f"{name} replaces a flat group up to {times} time{'s' if times > 1 else ''}: its samples, tokens and "
                "hours here are the most that it can take"
            )


def _measured(bound: Bound, rates: AssetName) -> str:
    """Returns what a difficulty is measured on."""
    recipe, inputs = bound.recipe(rates), bound.inputs(rates)
    if isinstance(recipe, RolloutDifficultyRecipe):
        return f"in the rollouts of {inputs['rollouts']} from step {recipe.from_step} on"
    if isinstance(recipe, DifficultyRecipe):
        counts = ", ".join(f"{count} {domain}" for domain, count in recipe.ask.problems.items())
        model = bound.inputs(inputs["answers"]).get("model", inputs["answers"])
        return f"on {recipe.ask.samples} answers of {model} to each of at most {counts} problems"
    return "by a verb of your own"
