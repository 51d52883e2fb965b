"""Extends a profile by pass rates, by which a reinforced node chooses, orders and weighs its problems.

    with_difficulty(profile, "r1_zero", ByDifficulty(lowest=0.1, highest=0.9), problems={"math": 500}, samples=8)

The measurement is an artifact of its own, upstream of the node: it is made again when the policy, the problems or a
verifier changes. Not covered: the meaning of the settings (`data.difficulty`).
"""

from collections.abc import Mapping
from dataclasses import replace

from r1_pipeline.data.difficulty import ByDifficulty
from r1_pipeline.errors import RecipeError
from r1_pipeline.evaluation.difficulty import DifficultyRecipe, RolloutDifficultyRecipe
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.graph.bound import NodeRecipe, changed
from r1_pipeline.graph.node import Derived, Graph, Node, Ref
from r1_pipeline.profiles.extended import own_evaluation
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Sampling
from r1_pipeline.verbs import ReinforceRecipe, ask, measure_difficulty, rollout_difficulty


def with_difficulty(
    profile: Profile, name: str, by: ByDifficulty, problems: Mapping[Domain, int], samples: int
) -> Profile:
    """Returns `profile` whose reinforced node `name` asks its problems by the pass rates of the policy it starts from.

    The policy answers at most as many `problems` of each domain, `samples` times each and as in the rollouts, with the
    engine that the profile evaluates with. Raises `RecipeError` for a node that does not reinforce, or has a difficulty
    already.
    """
    node, recipe = _reinforced(profile, name)
    grpo = recipe.grpo
    asked = SamplingRecipe(
        sampling=Sampling(temperature=grpo.temperature, top_p=grpo.top_p, max_tokens=grpo.max_completion_tokens),
        samples=samples,
        problems=dict(problems),
        seed=grpo.seed,
        engine=own_evaluation(profile).ask.engine,
        stop=grpo.stop,
    )
    measured = f"{name}_difficulty"
    answers = Node(
        name=f"{measured}_answers",
        verb=ask,
        inputs={"model": node.inputs["policy"], "problems": node.inputs["problems"]},
        group=node.group,
        about=f"Completions of the policy that {name} starts from for its problems, not judged.",
        recipe=f"{measured}.ask",
        expects=node.expects,
    )
    rates = Node(
        name=measured,
        verb=measure_difficulty,
        inputs={"answers": Ref(answers.name), "problems": node.inputs["problems"]},
        group=node.group,
        about=f"Pass rates of the policy that {name} starts from on its problems.",
        recipe=measured,
    )
    return _by(profile, node, recipe, by, (answers, rates), DifficultyRecipe(ask=asked))


def with_rollout_difficulty(profile: Profile, name: str, by: ByDifficulty, of: str, from_step: int) -> Profile:
    """Returns `profile` whose reinforced node `name` asks its problems by the pass rates in the rollouts of node `of`.

    Rollouts count from the optimizer step `from_step` on; nothing is sampled. Raises `RecipeError` for a node that does
    not reinforce, or has a difficulty already, `GraphError` if `of` is made from `name`.
    """
    node, recipe = _reinforced(profile, name)
    _reinforced(profile, of)
    rates = Node(
        name=f"{name}_difficulty",
        verb=rollout_difficulty,
        inputs={"rollouts": Ref(of), "problems": node.inputs["problems"]},
        group=node.group,
        about=f"Pass rates on the problems of {name} in the rollouts of {of}.",
        recipe=f"{name}_difficulty",
    )
    return _by(profile, node, recipe, by, (rates,), RolloutDifficultyRecipe(from_step=from_step))


def _reinforced(profile: Profile, name: str) -> tuple[Node, ReinforceRecipe]:
    node = profile.graph.node(name)
    recipe = profile.bound.recipe(profile.bound.names_of(name)[0])
    if not isinstance(recipe, ReinforceRecipe):
        raise RecipeError(f"{name} is not reinforced, so pass rates choose nothing there; name a node that is")
    return node, recipe


def _by(
    profile: Profile,
    node: Node,
    recipe: ReinforceRecipe,
    by: ByDifficulty,
    measuring: tuple[Node, ...],
    measured_by: Recipe,
) -> Profile:
    """Returns `profile` with the nodes that measure, the last of which is the difficulty of `node`.

    Nodes whose recipe is that of `node` with changes read it too.
    """
    if "difficulty" in node.inputs:
        raise RecipeError(f"{node.name} has a difficulty already; change its recipe's schedule instead")
    rates = measuring[-1]
    graph = profile.graph.with_nodes(*measuring)
    recipes: dict[str, NodeRecipe] = {rates.name: measured_by}
    if isinstance(node.recipe, Derived):
        node = replace(node, recipe=replace(node.recipe, change={**node.recipe.change, "schedule.difficulty": by}))
    else:
        assert node.recipe is not None
        recipes[node.recipe] = changed(recipe, "schedule.difficulty", by)
    for each in (node, *_derived_from(profile.graph, node.name)):
        graph = graph.replacing(replace(each, inputs={**each.inputs, "difficulty": Ref(rates.name)}))
    wider = replace(profile, graph=graph).with_recipes(recipes)
    assert wider.bound  # raises before any work
    return wider


def _derived_from(graph: Graph, name: str) -> list[Node]:
    """Returns the nodes whose recipe is directly or indirectly that of the node `name`."""
    found: list[Node] = []
    for node in graph.written:
        if isinstance(node.recipe, Derived) and node.recipe.of in {name, *(each.name for each in found)}:
            found.append(node)
    return found
