"""The nouns of the graph: a `Node` is one artifact of the paper; a `Graph` is all of them, with derived nodes.

    Node        a name, a verb, inputs, a group, gates and a description
    Ref         an input: another node, and which of its partitions
    Benchmark   a problem set on which every checkpoint is evaluated; answers and evaluations are derived from it
    Derived     the recipe of another node with some fields changed: an ablation needs no line in any profile
    Check       a gate: a measurement of a finished artifact with a limit
    AssetName   one artifact: the node and its partition

`Graph.branching` copies a line of nodes with changed recipes: a control trains on its own base, not the paper's.
Interpreters (Dagster, `local`, planning, the report) are functions of a `Graph`; nothing else lists nodes. Recipes and
partitions belong to the profile (`bound`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from r1_pipeline.artifacts.edges import EdgeRole, role_of
from r1_pipeline.artifacts.kinds import Checkpoint, Completions, RewardModel
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import GraphError, UnknownNameError
from r1_pipeline.evaluation.controls import Control
from r1_pipeline.evaluation.gates import Gate, GateLimits
from r1_pipeline.evaluation.inputs import Cast
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.runtime.build_context import Verb
from r1_pipeline.verbs import ask, evaluate

_MODELS = (Checkpoint, RewardModel, Completions)
"""Kinds of artifacts that are models or are made by one."""
MODEL_EDGES = ("policy", "base", "model")
"""Parameters of verbs that name the model which is trained further or sampled."""
Which = Literal["same", "all", "first"]
"""Choice among a node's partitions: the same one as the reader's, all of them by key, or the profile's first."""


@dataclass(frozen=True, order=True)
class AssetName:
    """One artifact of the graph: a node, and a partition if the node has partitions."""

    asset: str
    partition: str | None = None

    def __str__(self) -> str:
        """Spells the name as in manifests, reports and commands: `distilled/qwen`, `evaluation/r1_zero`."""
        return f"{self.asset}/{self.partition}" if self.partition else self.asset


@dataclass(frozen=True)
class Ref:
    """An input of a node."""

    node: str
    which: Which = "same"


@dataclass(frozen=True)
class Derived:
    """The recipe of another node with some fields changed."""

    of: str
    change: Mapping[str, Any]
    """Dotted field of the recipe -> new value, such as `rubric.language` -> 0.0."""


Input = Ref | Mapping[str, Ref]
"""One artifact, or several by name; all partitions of a node are named by their keys."""


class GateContext(Protocol):
    """A finished artifact that gates examine, and the information that an interpreter provides to them."""

    @property
    def artifact(self) -> Any:
        """The artifact itself, of the kind that the node's verb makes."""

    @property
    def limits(self) -> GateLimits:
        """Limits of the profile's gates."""

    @property
    def runtime(self) -> Runtime:
        """Devices, threads and services that grading runs with."""

    @property
    def recipe(self) -> Recipe | None:
        """Recipe of its node."""

    @property
    def templates(self) -> frozenset[TemplateName]:
        """Templates that models of the graph are RL-trained with."""

    def input(self, ref: "Ref") -> Any:
        """Returns the artifact that `ref` means at the subject's node: one that it was made from, or the newest."""

    def tokenizers(self) -> Mapping[str, Any]:
        """Returns the present or future tokenizer of each base whose models read the subject."""

    def scores(self, model: "Ref | None" = None) -> Any:
        """Returns the `EvalReport` of the subject, or of another model, on the first benchmark; makes it if needed."""


@dataclass(frozen=True)
class Check:
    """A gate on a node; if it fails, it stops everything downstream, with the value and the limit, or warns."""

    name: str
    about: str
    measure: Callable[[GateContext], list[Gate]]
    fails: str
    """Description of an artifact that fails the gate, in a sentence."""
    scores: bool = False
    """True if it needs scores, and therefore a device if they do not exist yet."""
    quality: bool = False
    """True if it requires success, which an ablation may lack; other gates require soundness."""
    warns: bool = False
    """True if a failure only warns, because nothing is trained downstream."""

    def decide(self, subject: GateContext) -> list[Gate]:
        """Measures a finished artifact and returns its gates."""
        return [gate.model_copy(update={"blocking": not self.warns}) for gate in self.measure(subject)]


@dataclass(frozen=True)
class Node:
    """One artifact of the graph, or one per partition."""

    name: str
    verb: Verb[Any, Any] | None
    """The verb that makes it; None for the report, which interpreters write from everything else."""
    inputs: Mapping[str, Input]
    """Parameter of the verb -> its input."""
    group: str
    about: str
    """Description in a sentence or two, with the section of the paper."""
    recipe: str | Derived | None
    """Name of its recipe in the profile, or `NAME.FIELD` for a part of one; None if the verb takes none."""
    each: str | None = None
    """Kind of its partitions, such as `students`; the profile names the keys."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the verb."""
    checks: tuple[Check, ...] = ()
    """Gates of the artifact."""
    expects: str = "reasoning"
    """Field of the profile's forecast that has the length of this node's completions."""
    paper_cost: str | None = None
    """Row of the paper's cost table (supplement, table 7) that covers it."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Node that its checks name -> the node that they read in its place."""

    @property
    def refs(self) -> Iterator[tuple[str, Ref]]:
        """Yields (edge, input) for every input; inputs given by name have edges of their own."""
        for edge, source in self.inputs.items():
            if isinstance(source, Ref):
                yield edge, source
            else:
                yield from source.items()

    @property
    def parents(self) -> tuple[str, ...]:
        """Returns the names of the nodes that it reads, each once."""
        return tuple(dict.fromkeys(ref.node for _, ref in self.refs))

    def role(self, edge: str) -> EdgeRole:
        """Returns the role of the input behind `edge`."""
        return role_of(edge, self.verb.name if self.verb else "evaluate")


@dataclass(frozen=True)
class Benchmark:
    """A problem set on which every checkpoint is evaluated and against which all training data is screened."""

    name: str
    """Name of the benchmark; its evaluations are called `NAME/MODEL` and use the profile's recipe `NAME`."""
    problems: str
    """Name of the node that holds the problems."""
    paper: str | None = None
    """Its row in the paper's table of stages (`evaluation.paper`), if there is one."""
    trainable: bool = False
    """True if its files may also be a training source; the rows that it shares with it are still dropped."""

    @property
    def answers(self) -> str:
        """First part of the names of its answer nodes."""
        return "answers" if self.name == "evaluation" else f"{self.name}_answers"


def ref(source: "Node | Ref") -> Ref:
    """Returns an input: the same partition of the node as the reader's, or the node itself if it has none."""
    return source if isinstance(source, Ref) else Ref(source.name)


def every(node: Node) -> Ref:
    """Returns an input: all partitions of a node."""
    return Ref(node.name, "all")


def first(node: Node) -> Ref:
    """Returns an input: the node's partition that the profile names first."""
    return Ref(node.name, "first")


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the page, and the benchmarks on which every checkpoint is evaluated.

    Raises `GraphError` for two nodes of one name, an input that is not a node, a cycle, or a node without a verb that
    is not the only one or has no cast.
    """

    written: tuple[Node, ...]
    """Nodes of the page; answers and evaluations are derived from them."""
    benchmarks: tuple[Benchmark, ...] = ()
    cast: Cast | None = None
    """Nodes that play the paper's parts in the report; None for a graph without a report."""
    controls: tuple[Control, ...] = ()
    """Effects that the report compares with their controls."""

    def __post_init__(self) -> None:
        names = [node.name for node in self._unsorted]
        for name in names:
            if names.count(name) > 1:
                raise GraphError(f"two nodes are called {name!r}; rename one, or replace it with Graph.replacing")
        _check_report([node.name for node in self.written if node.verb is None], self.cast)
        _check_edges(self.nodes)
        _check_controls(self.controls, self.checkpoints)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every node by name, parents first, otherwise in the order of the page."""
        return {node.name: node for node in _sorted(self._unsorted)}

    @cached_property
    def _unsorted(self) -> list[Node]:
        kept_out = {b.name: Ref(b.problems) for b in self.benchmarks[1:]}
        asked = {benchmark.problems for benchmark in self.benchmarks}
        nodes = [
            node if node.name in asked else _screened(node, kept_out) for node in self.written if node.verb is not None
        ]
        nodes += [each for benchmark in self.benchmarks for model in list(nodes) for each in _asked(benchmark, model)]
        summaries = [node for node in self.written if node.verb is None]
        return nodes + [
            replace(node, inputs={each.name: Ref(each.name, "all") for each in nodes}) for node in summaries
        ]

    def node(self, name: str) -> Node:
        """Returns the node of this name; raises `UnknownNameError` with the known names."""
        if name not in self.nodes:
            raise UnknownNameError("asset", name, self.nodes)
        return self.nodes[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    @cached_property
    def checkpoints(self) -> tuple[str, ...]:
        """Names of the nodes whose artifacts are checkpoints, parents first."""
        return tuple(node.name for node in self if node.verb and node.verb.kind is Checkpoint)

    def bases_of(self, rows: str) -> set[str]:
        """Returns the bases of the models that are trained on, or sampled for, the rows of the node `rows`."""
        readers = [node for node in self if rows in node.parents and node.verb and node.verb.kind in _MODELS]
        found: set[str] = set()
        while readers:
            node = readers.pop()
            line = [ref.node for edge, ref in node.refs if edge in MODEL_EDGES]
            found |= set() if line else {node.name}
            readers += [self.node(name) for name in line]
        return found

    def evaluation(self, model: str, benchmark: Benchmark | None = None) -> str:
        """Returns the node of a checkpoint's evaluation, on the first benchmark unless another is given."""
        return f"{(benchmark or self.benchmarks[0]).name}/{model}"

    def answers(self, model: str, benchmark: Benchmark | None = None) -> str:
        """Returns the node of a checkpoint's answers to a benchmark, the first unless another is given."""
        return f"{(benchmark or self.benchmarks[0]).answers}/{model}"

    def descendants(self, name: str) -> set[str]:
        """Returns every node that is directly or indirectly made from `name`."""
        found = {name}
        for node in self:
            if found & set(node.parents):
                found.add(node.name)
        return found - {name}

    def with_nodes(self, *nodes: Node) -> "Graph":
        """Returns this graph with further nodes."""
        return replace(self, written=(*self.written, *nodes))

    def replacing(self, node: Node) -> "Graph":
        """Returns this graph with `node` in place of its namesake; raises `UnknownNameError` if there is none."""
        self.node(node.name)
        return replace(self, written=tuple(node if each.name == node.name else each for each in self.written))

    def with_benchmark(self, name: str, problems: Node, paper: str | None = None, trainable: bool = False) -> "Graph":
        """Returns this graph with a further benchmark: `problems`, which are kept out of all training data.

        Every checkpoint is evaluated on it by the profile's recipe `name` (`EvaluateRecipe`).
        """
        further = Benchmark(name, problems.name, paper, trainable)
        return replace(self, written=(*self.written, problems), benchmarks=(*self.benchmarks, further))

    def deriving(
        self,
        name: str,
        of: str,
        change: Mapping[str, Any],
        about: str,
        group: str = "ablations",
        instead: Mapping[str, str] | None = None,
    ) -> "Graph":
        """Returns this graph with an ablation: a copy of the node `of` whose recipe has some fields changed.

        `instead` maps nodes that `of` reads to the nodes that the copy reads in their place.
        """
        return self.with_nodes(derived(self.node(of), name, change, about, group, instead))

    def branching(
        self, name: str, change: Mapping[str, Mapping[str, Any]], along: Sequence[str], about: str
    ) -> "Graph":
        """Returns this graph with a control: a copy `NODE_NAME` of each node of `along`, some with changed recipes.

        A copy reads the other copies, and the paper's nodes where there is no copy, so that everything downstream of a
        changed base is made from that base. `change` maps nodes to the changed fields of their recipes; `about`
        describes the change.
        """
        if strangers := sorted(set(change) - set(along)):
            raise GraphError(f"{name} changes {', '.join(strangers)}, and copies only {', '.join(along)}; copy it too")
        copies = {each: f"{each}_{name}" for each in along}
        nodes = (self.node(each) for each in along)
        return self.with_nodes(
            *(
                derived(of, copies[of.name], change.get(of.name, {}), f"{of.name}, {about}.", instead=copies)
                for of in nodes
            )
        )

    def with_controls(self, *controls: Control) -> "Graph":
        """Returns this graph with further effects that the report compares with their controls."""
        return replace(self, controls=(*self.controls, *controls))


def derived(
    of: Node,
    name: str,
    change: Mapping[str, Any],
    about: str,
    group: str = "ablations",
    instead: Mapping[str, str] | None = None,
) -> Node:
    """Returns a node like `of` with these fields of its recipe changed; it keeps the checks that require soundness.

    `instead` maps nodes that `of` and its checks read to the nodes that are read in their place.
    """
    return replace(
        of,
        name=name,
        inputs={edge: _rerouted(source, instead or {}) for edge, source in of.inputs.items()},
        recipe=Derived(of.name, change),
        about=about,
        group=group,
        checks=tuple(check for check in of.checks if not check.quality),
        paper_cost=None,
        instead=instead or {},
    )


def _rerouted(source: Input, instead: Mapping[str, str]) -> Input:
    if isinstance(source, Ref):
        return replace(source, node=instead.get(source.node, source.node))
    return {edge: replace(each, node=instead.get(each.node, each.node)) for edge, each in source.items()}


class Page:
    """Collects nodes in the order in which they are written."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []

    def node(
        self,
        name: str,
        verb: Verb[Any, Any] | None,
        *,
        group: str,
        about: str,
        recipe: str | Derived | None = "",
        each: str | None = None,
        checks: Iterable[Check] = (),
        expects: str = "reasoning",
        paper_cost: str | None = None,
        **arguments: Any,
    ) -> Node:
        """Adds a node; nodes among `arguments` become its inputs, and other arguments are passed to the verb.

        Its recipe in the profile has the node's own name unless `recipe` gives another.
        """
        inputs = {edge: _input(value) for edge, value in arguments.items() if _is_input(value)}
        given = {edge: value for edge, value in arguments.items() if edge not in inputs}
        own = name if recipe == "" else recipe
        made = Node(name, verb, inputs, group, about, own, each, given, tuple(checks), expects, paper_cost)
        return self.add(made)

    def add(self, node: Node) -> Node:
        """Adds a finished node."""
        self._nodes.append(node)
        return node

    def graph(self, benchmark: Benchmark, cast: Cast) -> Graph:
        """Returns the nodes of the page as a graph; raises like `Graph`."""
        return Graph(tuple(self._nodes), (benchmark,), cast)


def _is_input(value: Any) -> bool:
    return isinstance(value, Node | Ref) or (
        isinstance(value, Mapping) and all(isinstance(each, Node | Ref) for each in value.values())
    )


def _input(value: Any) -> Input:
    return {name: ref(each) for name, each in value.items()} if isinstance(value, Mapping) else ref(value)


def _asked(benchmark: Benchmark, model: Node) -> Iterator[Node]:
    """Yields the answers and the evaluation of a checkpoint."""
    if model.verb is None or model.verb.kind is not Checkpoint:
        return
    problems = Ref(benchmark.problems)
    answers = f"{benchmark.answers}/{model.name}"
    yield Node(
        name=answers,
        verb=ask,
        inputs={"model": Ref(model.name), "problems": problems},
        group="answers",
        about=f"Completions of {model.name} for {benchmark.problems}, not judged.",
        recipe=f"{benchmark.name}.ask",
        each=model.each,
    )
    yield Node(
        name=f"{benchmark.name}/{model.name}",
        verb=evaluate,
        inputs={"answers": Ref(answers), "heldout": problems},
        group="evaluation",
        about=f"Scores of {model.name} on {benchmark.problems}, with every completion and verdict behind them.",
        recipe=benchmark.name,
        each=model.each,
    )


_SCREENING = ("curate", "curate_preferences", "merge")
"""Verbs that drop what benchmarks hold."""


def _screened(node: Node, kept_out: Mapping[str, Ref]) -> Node:
    """Returns a training set or a merged corpus that is screened against all benchmarks."""
    if node.verb is None or node.verb.name not in _SCREENING or not kept_out:
        return node
    return replace(node, inputs={**node.inputs, "benchmarks": dict(kept_out)})


def _check_report(names: list[str], cast: Cast | None) -> None:
    """Checks that exactly the report has no verb."""
    if len(names) > 1:
        raise GraphError(f"{names[1]} has no verb, and {names[0]} is the report already; give it a verb")
    if names and cast is None:
        raise GraphError(
            f"{names[0]} has no verb, so it is the report, and the graph has no cast; give it a verb, or give the "
            "graph a cast"
        )


def _check_edges(nodes: Mapping[str, Node]) -> None:
    for node in nodes.values():
        for edge, source in node.refs:
            if source.node not in nodes:
                raise GraphError(f"{node.name} reads {source.node!r} as {edge}, and there is no such node; add it")


def _check_controls(controls: Iterable[Control], models: Sequence[str]) -> None:
    """Checks that the models which controls compare are evaluated."""
    for control in controls:
        if strangers := [name for name in (*control.pair, *control.under) if name not in models]:
            raise GraphError(
                f"the control of {control.effect!r} compares {', '.join(strangers)}, and there is no such checkpoint; "
                f"there are {', '.join(models)}"
            )


def _sorted(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yields nodes with parents first, otherwise in the order given; raises `GraphError` for a cycle."""
    left = list(nodes)
    known = {node.name for node in left}
    done: set[str] = set()
    while left:
        ready = next((node for node in left if set(node.parents) & known <= done), None)
        if ready is None:
            names = ", ".join(node.name for node in left)
            raise GraphError(f"these nodes form a cycle, or read one that does: {names}; cut an edge")
        yield ready
        left.remove(ready)
        done.add(ready.name)
