"""The prompts of a bound graph: which models are asked which problems, in which form, with how long a reply.

It follows from the recipes alone, so that rows and models can be checked before any work. Not covered: the prompts
themselves (`data.templates`), the number of replies (`planning`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from r1_pipeline.data.templates import TemplateName
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import MODEL_EDGES, AssetName
from r1_pipeline.records import DOMAINS, Domain
from r1_pipeline.training.import_pretrained import ImportRecipe
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.verbs import BaseRecipe, ReinforceRecipe


@dataclass(frozen=True)
class Prompted:
    """A model that is asked the problems of one set."""

    reader: AssetName
    """The artifact made from the replies: a model that is reinforced, or the replies themselves."""
    problems: AssetName
    base: AssetName
    """The base that the model descends from, which has its tokenizer and its context."""
    template: TemplateName
    reply_tokens: int
    """The maximum number of tokens of a reply."""
    domains: Collection[Domain]
    """The domains that are asked."""


def prompted(bound: Bound) -> Iterator[Prompted]:
    """Yields every use of a problem set as prompts, in the order of the graph."""
    for name in bound.names.values():
        recipe, inputs = bound.recipe(name), bound.inputs(name)
        if isinstance(recipe, ReinforceRecipe):
            reasoning = [domain for domain in DOMAINS if recipe.schedule.shares.get(domain, 0) > 0]
            sets = {"problems": reasoning, "general": ["general"] if recipe.schedule.general_steps else []}
            for edge, domains in sets.items():
                if domains and edge in inputs:
                    reply = recipe.grpo.max_completion_tokens
                    yield Prompted(name, inputs[edge], base_of(bound, name), recipe.template, reply, domains)
        elif isinstance(recipe, SamplingRecipe):
            template, reply = template_of(bound, inputs["model"]), recipe.sampling.max_tokens
            asked = [domain for domain, count in recipe.problems.items() if count]
            if template:
                yield Prompted(name, inputs["problems"], base_of(bound, name), template, reply, asked)


def base_of(bound: Bound, name: AssetName) -> AssetName:
    """Returns the base that a model, or the model behind an artifact, descends from."""
    before = _before(bound, name)
    return name if before is None else base_of(bound, before)


def base_recipe(bound: Bound, base: AssetName) -> BaseRecipe | None:
    """Returns the recipe of a base; None for one that a verb of the user's makes."""
    recipe = bound.recipe(base)
    return recipe if isinstance(recipe, PretrainRecipe | ImportRecipe) else None


def template_of(bound: Bound, model: AssetName) -> TemplateName | None:
    """Returns the prompt form that a model is asked in; None for a model whose recipe does not say so."""
    recipe = bound.recipe(model)
    return "zero" if isinstance(recipe, PretrainRecipe) else getattr(recipe, "template", None)


def _before(bound: Bound, name: AssetName) -> AssetName | None:
    inputs = bound.inputs(name)
    found = next((inputs[edge] for edge in MODEL_EDGES if edge in inputs), None)
    return found if isinstance(found, AssetName) else None
