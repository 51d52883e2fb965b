"""A graph bound to a profile's recipes: its artifacts, their inputs and their recipes.

The profile maps the name of a node to its recipe, or to one recipe for each partition. `bind` checks all of them
against the verbs before any work. `local` and Dagster make the artifacts.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.ingest.declared import SourceRecipe
from r1_pipeline.errors import GraphError, RecipeError, UnknownNameError, did_you_mean
from r1_pipeline.evaluation.report import ReportRecipe
from r1_pipeline.graph.node import AssetName, Benchmark, Derived, Graph, Node, Ref
from r1_pipeline.recipe import Recipe, require_optional
from r1_pipeline.runtime.build_context import Build, BuildContext

NodeRecipe = Recipe | Mapping[str, Recipe]
"""The recipe of a node, or of each of its partitions."""
Recipes = Mapping[str, NodeRecipe]
"""Node -> its recipe, as given by a profile."""
MOST_PARTITIONS = 100
"""Number of partitions of one asset from which on Dagster does not compute staleness."""


@dataclass(frozen=True)
class Bound:
    """A graph with its recipes, made by `bind`, which checks that they fit."""

    graph: Graph
    recipes: Recipes

    @cached_property
    def partitions(self) -> dict[str, tuple[str, ...]]:
        """Kind of partition, such as `students` -> the keys that the profile names."""
        found: dict[str, tuple[str, ...]] = {}
        for node in self.graph:
            own = self.recipes.get(_base_name(node), None) if isinstance(node.recipe, str) else None
            if node.each and isinstance(own, Mapping):
                known = found.setdefault(node.each, tuple(own))
                if known != tuple(own):
                    raise GraphError(
                        f"{node.name} has recipes for {', '.join(own) or 'nothing'}, other nodes of {node.each} "
                        f"for {', '.join(known)}; give each of them the same keys, in the same order"
                    )
        return found

    def partitions_of(self, name: str) -> tuple[str, ...]:
        """Returns the partition keys of a node; empty for a node of one artifact."""
        each = self.graph.node(name).each
        return self.partitions[each] if each else ()

    @cached_property
    def names(self) -> dict[str, AssetName]:
        """Every artifact of the graph by its spelling, parents first."""
        every = (AssetName(node.name, part) for node in self.graph for part in self.partitions_of(node.name) or (None,))
        return {str(name): name for name in every}

    def name(self, text: str) -> AssetName:
        """Returns the artifact that `text` spells; raises `UnknownNameError` with the known names."""
        if text not in self.names:
            raise UnknownNameError("asset", text, self.names)
        return self.names[text]

    def names_of(self, node: str) -> list[AssetName]:
        """Returns the artifacts of a node: one, or one per partition."""
        return [AssetName(node, part) for part in self.partitions_of(node) or (None,)]

    def resolve(self, name: AssetName, source: Ref) -> AssetName | dict[str, AssetName]:
        """Resolves an input of `name` to an artifact, or to all partitions of a node by key."""
        parts = self.partitions_of(source.node)
        if not parts:
            return AssetName(source.node)
        if source.which == "first":
            return AssetName(source.node, parts[0])
        if source.which == "same" and name.partition in parts:
            return AssetName(source.node, name.partition)
        return {part: AssetName(source.node, part) for part in parts}

    def inputs(self, name: AssetName) -> dict[str, Any]:
        """Returns the artifact, or the artifacts by edge, that the verb gets for each parameter."""
        return {
            parameter: self.resolve(name, source) if isinstance(source, Ref) else self._by_edge(name, source)
            for parameter, source in self.graph.node(name.asset).inputs.items()
        }

    def _by_edge(self, name: AssetName, sources: Mapping[str, Ref]) -> dict[str, AssetName]:
        found: dict[str, AssetName] = {}
        for edge, source in sources.items():
            resolved = self.resolve(name, source)
            found |= {edge: resolved} if isinstance(resolved, AssetName) else resolved
        return found

    def reads(self, name: AssetName) -> list[AssetName]:
        """Returns every artifact that `name` is made from, each once."""
        given = self.inputs(name).values()
        flat = (one for each in given for one in ([each] if isinstance(each, AssetName) else each.values()))
        return list(dict.fromkeys(flat))

    def evaluation(self, model: AssetName, benchmark: Benchmark | None = None) -> AssetName:
        """Returns the evaluation of a checkpoint, on the first benchmark unless another is given."""
        return AssetName(self.graph.evaluation(model.asset, benchmark), model.partition)

    @property
    def checkpoints(self) -> list[AssetName]:
        """Every checkpoint, parents first."""
        return [name for name in self.names.values() if name.asset in self.graph.checkpoints]

    def recipe(self, name: AssetName) -> Recipe | None:
        """Returns the recipe of one artifact; None if its verb takes none."""
        return self._recipe(self.graph.node(name.asset).recipe, name.partition)

    def recipes_of(self, node: Node) -> Recipe | dict[str, Recipe] | None:
        """Returns the recipe of a node, or one recipe per partition if the profile has several."""
        of = node
        while isinstance(of.recipe, Derived):
            of = self.graph.node(of.recipe.of)
        own = self.recipes.get(_base_name(of))
        if not isinstance(own, Mapping):
            return self._recipe(node.recipe, None)
        found = {part: self._recipe(node.recipe, part) for part in own}
        return {part: recipe for part, recipe in found.items() if recipe is not None}

    def _recipe(self, where: str | Derived | None, partition: str | None) -> Recipe | None:
        if where is None:
            return None
        if isinstance(where, Derived):
            whole = self._recipe(self.graph.node(where.of).recipe, partition)
            for path, value in where.change.items():
                whole = changed(whole, path, value)
            return whole
        name, _, field = where.partition(".")
        own = self.recipes[name]
        one = own[partition] if isinstance(own, Mapping) and partition is not None else own
        recipe = getattr(one, field, None) if field else one
        if not isinstance(recipe, Recipe):
            found = type(one).__name__ if field else "several, by key"
            raise GraphError(f"its recipe is {where} of the profile, which has {found} there; correct the profile")
        return recipe

    def build(self, name: AssetName, at: BuildContext, find: Callable[[AssetName], Artifact]) -> Build[Any]:
        """Returns the build of `name` from the inputs that `find` gives, without making it."""
        node = self.graph.node(name.asset)
        assert node.verb is not None
        return node.verb.build(at, **self._arguments(name, find))

    def make(self, name: AssetName, at: BuildContext, find: Callable[[AssetName], Artifact]) -> Artifact:
        """Makes the artifact from the inputs that `find` gives, or opens it; raises like `Store.build`."""
        node = self.graph.node(name.asset)
        assert node.verb is not None
        made: Artifact = node.verb(at, **self._arguments(name, find))
        return made

    def _arguments(self, name: AssetName, find: Callable[[AssetName], Artifact]) -> dict[str, Any]:
        arguments: dict[str, Any] = dict(self.graph.node(name.asset).given)
        for parameter, source in self.inputs(name).items():
            one = isinstance(source, AssetName)
            arguments[parameter] = find(source) if one else {edge: find(each) for edge, each in source.items()}
        recipe = self.recipe(name)
        return arguments if recipe is None else {**arguments, "recipe": recipe}


def bind(graph: Graph, recipes: Recipes) -> Bound:
    """Binds `graph` to the recipes of a profile.

    Raises `GraphError` for a missing or unknown recipe, a recipe of the wrong type, a changed field that a recipe does
    not have, partitions that differ, and a training source with a file of a benchmark.
    """
    bound = Bound(graph, recipes)
    wanted = {_base_name(node): node for node in reversed(list(graph)) if isinstance(node.recipe, str)}
    if missing := [name for name in wanted if name not in recipes]:
        raise GraphError(f"the profile has no recipe for {', '.join(sorted(missing))}; add one to its recipes")
    if unknown := sorted(set(recipes) - set(wanted)):
        raise GraphError(
            f"the profile has a recipe for {', '.join(unknown)}, and no node takes it; "
            f"there are {', '.join(sorted(wanted))}"
        )
    for node in graph:
        if node.each is not None and node.each not in bound.partitions:
            raise GraphError(f"{node.name} has partitions {node.each}, and the profile names none; give recipes by key")
        if len(bound.partitions_of(node.name)) >= MOST_PARTITIONS:
            raise GraphError(f"{node.name} has {MOST_PARTITIONS} partitions or more; cut it into fewer")
    for name in bound.names.values():
        try:
            recipe = bound.recipe(name)
        except GraphError as error:
            raise GraphError(f"{name}: {error}") from error
        _check_type(graph.node(name.asset), name, recipe)
        _check_inputs(graph, graph.node(name.asset), name, recipe)
    _check_trained_files(graph, recipes)
    return bound


def _check_trained_files(graph: Graph, recipes: Recipes) -> None:
    """Checks that no training source has a file of a benchmark that nothing may be trained on."""
    held = {
        file.sha256: benchmark.name
        for benchmark in graph.benchmarks[1:]
        if not benchmark.trainable
        for source in sources_of(recipes[benchmark.problems])
        for file in source.files
    }
    problems = {benchmark.problems for benchmark in graph.benchmarks[1:]}
    for name in recipes.keys() - problems:
        for source in sources_of(recipes[name]):
            shared = next((file for file in source.files if file.sha256 in held), None)
            if shared and source.side != "heldout":
                raise GraphError(
                    f"source {source.name} has {shared.name} of the benchmark {held[shared.sha256]}: nothing may be "
                    'trained on it; set side = "heldout", or use = "train" in the benchmark\'s file'
                )


def sources_of(recipe: NodeRecipe) -> tuple[SourceRecipe, ...]:
    """Returns the user's sources that a recipe names."""
    return recipe.sources if isinstance(recipe, CurateRecipe | CuratePreferencesRecipe) else ()


def changed(recipe: Any, path: str, value: Any) -> Any:
    """Returns `recipe` with the field at the dotted `path` set to `value` and validated; raises `GraphError`."""
    return changed_fields(recipe, {path: value})


def changed_fields(recipe: Any, values: Mapping[str, Any]) -> Any:
    """Returns `recipe` with the fields at these dotted paths set together; each record on the way is validated once.

    A path may end in the key of a mapping, such as `ask.problems.math`. Raises `GraphError` for an unknown field, with
    the fields that there are, and for a value that the record refuses.
    """
    below: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        head, _, rest = path.partition(".")
        below.setdefault(head, {})[rest] = value
    own = fields_of(recipe)
    for head, inner in below.items():
        if head not in own:
            kind = type(recipe).__name__
            known = f"{did_you_mean(head, own)} it has {', '.join(own)}" if own else " it is no record"
            raise GraphError(f"{kind} has no field {head!r};{known}")
        whole = inner.pop("", own[head])
        own[head] = changed_fields(whole, inner) if inner else whole
    if not isinstance(recipe, BaseModel):
        return own
    try:
        return type(recipe).model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        at = str(next(iter(first["loc"]), ""))
        where = f".{at}" if at in below else ""
        value = f" cannot be {own[at]!r}" if where else ""
        raise GraphError(f"{type(recipe).__name__}{where}{value}: {first['msg']}") from error


def fields_of(recipe: Any) -> dict[str, Any]:
    """Returns the fields of a record, or the keys of a mapping, with their values; empty for any other value."""
    if isinstance(recipe, BaseModel):
        return {name: getattr(recipe, name) for name in type(recipe).model_fields}
    return dict(recipe) if isinstance(recipe, Mapping) else {}


def _base_name(node: Node) -> str:
    """Returns the name in the profile of a node's recipe."""
    return node.recipe.partition(".")[0] if isinstance(node.recipe, str) else ""


def _check_type(node: Node, name: AssetName, recipe: Recipe | None) -> None:
    wanted = node.verb.recipe if node.verb else ReportRecipe
    if wanted is None and recipe is None:
        return
    if wanted is None or not isinstance(recipe, wanted):
        raise GraphError(
            f"{name} has a recipe of type {type(recipe).__name__}, and {node.verb.name if node.verb else 'it'} takes "
            f"{getattr(wanted, '__name__', wanted)}; correct the profile"
        )


def _check_inputs(graph: Graph, node: Node, name: AssetName, recipe: Recipe | None) -> None:
    """Checks that a node's inputs fit the parameters of its verb in name and kind, and fit its recipe."""
    if node.verb is None:
        return
    parameters = dict(list(inspect.signature(node.verb.function).parameters.items())[1:])
    needed = {each for each, own in parameters.items() if own.default is own.empty} - {"recipe"}
    given = {*node.inputs, *node.given}
    if wrong := sorted(needed - given) or sorted(given - set(parameters)):
        have = "lacks" if wrong[0] in needed else "has"
        raise GraphError(f"{name} {have} {wrong[0]}, and {node.verb.name} takes {', '.join(parameters)}; correct it")
    hints = get_type_hints(node.verb.function)
    for edge, source in node.inputs.items():
        for ref in [source] if isinstance(source, Ref) else source.values():
            found, kinds = graph.node(ref.node).verb, kinds_in(hints[edge])
            if kinds and (found is None or found.kind not in kinds):
                wanted = " or ".join(sorted(kind.kind for kind in kinds))
                kind = found.kind.kind if found else "report"
                raise GraphError(f"{name} reads {ref.node} ({kind}) as {edge}, which must be {wanted}; correct it")
    if recipe is not None:
        optional = {edge: edge in given for edge in set(parameters) - needed - {"recipe"}}
        try:
            require_optional(str(name), recipe, optional)
        except RecipeError as error:
            raise GraphError(str(error)) from error


def kinds_in(hint: Any) -> set[type[Artifact]]:
    """Returns the kinds of artifacts in an annotation."""
    if isinstance(hint, type):
        return {hint} if issubclass(hint, Artifact) else set()
    return set().union(*map(kinds_in, get_args(hint)))


def walk(bound: Bound, chosen: set[str] | None = None) -> Iterator[AssetName]:
    """Yields the artifacts of the chosen nodes, or of all nodes, parents first."""
    return (name for name in bound.names.values() if chosen is None or name.asset in chosen)
