"""Adds a user's own sources to a profile, or puts them in place of the built-in problems."""

from dataclasses import replace

from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.ingest.declared import Declared
from r1_pipeline.data.ingest.mapping import DemonstrationMapping
from r1_pipeline.errors import RecipeError
from r1_pipeline.graph.bound import NodeRecipe
from r1_pipeline.graph.node import Graph, Node
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.records import DOMAINS
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.verbs import collect_general, curate, curate_preferences


def with_sources(profile: Profile, declared: Declared) -> Profile:
    """Returns `profile` with problem sets and preference pairs drawn from the `declared` sources.

    Raises `RecipeError` if the graph needs written replies to general prompts and no declared source has any.
    """
    written = any(isinstance(source.mapping, DemonstrationMapping) for source in declared.recipes)
    needing = [node.name for node in profile.graph if node.verb is collect_general]
    if needing and not written and "general" not in declared.builtin:
        raise RecipeError(
            f"no source makes demonstrations, which {needing[0]} needs; give one whose mapping says "
            'makes = "demonstration", add "general" to builtin, or have a model reply (docs/data.md, "General data")'
        )

    def taking(recipe: CurateRecipe) -> CurateRecipe:
        sources = tuple(source for source in declared.recipes if source.feeds in recipe.domains)
        builtin = tuple(domain for domain in DOMAINS if domain in declared.builtin)
        return recipe.model_copy(update={"builtin": builtin, "sources": sources})

    pairs = {
        "builtin": "preference" in declared.builtin,
        "sources": tuple(source for source in declared.recipes if source.feeds == "preference"),
    }
    changed: dict[str, NodeRecipe] = {}
    for name in fed_nodes(profile):
        recipe = profile.recipes[name]
        if isinstance(recipe, CurateRecipe):
            changed[name] = taking(recipe)
        elif isinstance(recipe, CuratePreferencesRecipe):
            changed[name] = recipe.model_copy(update=pairs)
    runtime = profile.runtime.model_copy(update={"folders": {**profile.runtime.folders, **declared.folders}})
    reasoning = any(DOMAINS[source.feeds].reasoning for source in declared.recipes if source.feeds in DOMAINS)
    graph = with_warnings(profile.graph) if reasoning and learns_toy_world(profile) else profile.graph
    return replace(profile.with_recipes(changed), runtime=runtime, graph=graph)


def learns_toy_world(profile: Profile) -> bool:
    """Returns true if the profile trains its bases itself, on the toy world alone."""
    return any(isinstance(profile.recipes.get(node.name), PretrainRecipe) for node in profile.graph)


def with_warnings(graph: Graph) -> Graph:
    """Returns the graph with gates that only warn where they require success; those that require soundness stay.

    A base that has seen the toy world alone does not solve other problems, so such gates would stop every run.
    """

    def lenient(node: Node) -> Node:
        checks = (replace(check, warns=check.warns or check.quality) for check in node.checks)
        return replace(node, checks=tuple(checks))

    return replace(graph, written=tuple(map(lenient, graph.written)))


def fed_nodes(profile: Profile) -> list[str]:
    """Lists the nodes that take rows from sources; a benchmark keeps its own source."""
    own = {benchmark.problems for benchmark in profile.graph.benchmarks[1:]}
    curated = (node.name for node in profile.graph if node.verb in (curate, curate_preferences))
    return [name for name in curated if name not in own]
