"""The nouns of the graph: a `Node` is one artifact of the paper, a `Graph` all of them with what is derived from it.

    Node        a name, the verb that makes it, what it reads, its group, its gates, what it is in words
    Ref         an input: another node, and which of its partitions
    Benchmark   a problem set that every checkpoint is asked; answers and evaluations of all models follow from it
    Derived     "the recipe of that node, but with these fields changed": an ablation needs no line in any profile
    Branch      a changed recipe with copies of what follows from it: a control reads its own base, not the paper's
    Check       a gate: what it measures of a finished artifact
    AssetName   one artifact: the node and its partition

Interpreters (Dagster, `local`, planning, the report) are functions of a `Graph`; nothing else lists nodes.
Not covered: recipes and partitions, which are the profile's (`bound`).
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
"""Kinds of artifacts that are made by a model, or are one."""
_LINE = ("policy", "base", "model")
"""Parameters of verbs that name the model which goes on, or answers."""
Which = Literal["same", "all", "first"]
"""Of a node's partitions: the same one as the reader's, all of them by key, or the first that the profile names."""


@dataclass(frozen=True, order=True)
class AssetName:
    """One artifact of the graph: a node, and its partition where it has such."""

    asset: str
    partition: str | None = None

    def __str__(self) -> str:
        """The name as manifests, reports and commands spell it: `distilled/qwen`, `evaluation/r1_zero`."""
        return f"{self.asset}/{self.partition}" if self.partition else self.asset


@dataclass(frozen=True)
class Ref:
    """An input of a node."""

    node: str
    which: Which = "same"


@dataclass(frozen=True)
class Derived:
    """A recipe: that of another node with some fields changed."""

    of: str
    change: Mapping[str, Any]
    """Dotted field of the recipe -> new value, such as `rubric.language` -> 0.0."""


Input = Ref | Mapping[str, Ref]
"""One artifact, or several by name (of a node with all its partitions: by their keys)."""


class GateContext(Protocol):
    """A finished artifact under judgement, and what a gate may ask about it; interpreters answer."""

    @property
    def artifact(self) -> Any:
        """The artifact itself, of the kind that the node's verb makes."""

    @property
    def limits(self) -> GateLimits:
        """Limits of the profile."""

    @property
    def runtime(self) -> Runtime:
        """How and where judging runs."""

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of its node."""

    @property
    def templates(self) -> frozenset[TemplateName]:
        """Every template in which some model of the graph is reinforced."""

    def input(self, ref: "Ref") -> Any:
        """What `ref` means to the subject's node: what it was made from, or the newest there is."""

    def tokenizers(self) -> Mapping[str, Any]:
        """Base -> the tokenizer that it has or will have, of the bases whose models read the subject."""

    def scores(self, model: "Ref | None" = None) -> Any:
        """The `EvalReport` on the first benchmark of the subject, or of another model; made where there is none."""


@dataclass(frozen=True)
class Check:
    """A gate on a node: a failed one stops everything below, with the value and the limit, or warns."""

    name: str
    about: str
    measure: Callable[[GateContext], list[Gate]]
    fails: str
    """An artifact that it says no to, in a sentence."""
    scores: bool = False
    """Whether it needs scores, and so a device where they are not there yet."""
    quality: bool = False
    """Whether it asks for success, which an ablation may lack; any other asks for soundness."""
    warns: bool = False
    """Whether a failure stops nothing and is only said aloud: where nothing is trained on what lies below."""

    def decide(self, subject: GateContext) -> list[Gate]:
        """What its gates measure of a finished artifact."""
        return [gate.model_copy(update={"blocking": not self.warns}) for gate in self.measure(subject)]


@dataclass(frozen=True)
class Node:
    """One artifact of the graph, or one a partition."""

    name: str
    verb: Verb[Any, Any] | None
    """What makes it; None for the report, which interpreters write from everything else."""
    inputs: Mapping[str, Input]
    """Parameter of the verb -> what is given for it."""
    group: str
    about: str
    """What it is, in a sentence or two, with the section of the paper."""
    recipe: str | Derived | None
    """Where its recipe is: a name in the profile, `NAME.FIELD` for a part of one; None: the verb takes none."""
    each: str | None = None
    """What its partitions are, such as `students`; the profile says which there are."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the verb."""
    checks: tuple[Check, ...] = ()
    """Gates that stop what lies below."""
    expects: str = "reasoning"
    """Field of the profile's forecast that says how long this node's completions are."""
    paper_cost: str | None = None
    """Row of the paper's cost table (supplement, table 7) that pays for it."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Node that its checks name -> the node that they look at in its place."""

    @property
    def refs(self) -> Iterator[tuple[str, Ref]]:
        """Pairs of edge and input, one for every input; inputs given by name have edges of their own."""
        for edge, source in self.inputs.items():
            if isinstance(source, Ref):
                yield edge, source
            else:
                yield from source.items()

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the nodes that it reads, each once."""
        return tuple(dict.fromkeys(ref.node for _, ref in self.refs))

    def role(self, edge: str) -> EdgeRole:
        """What the input behind `edge` is to this node."""
        return role_of(edge, self.verb.name if self.verb else "evaluate")


@dataclass(frozen=True)
class Benchmark:
    """A problem set that every checkpoint is asked, and that every corpus is screened against."""

    name: str
    """Evaluations stand under `NAME/MODEL` and take the profile's recipe `NAME`."""
    problems: str
    """The node that holds the problems."""

    @property
    def answers(self) -> str:
        """The first part of the names of its answer nodes."""
        return "answers" if self.name == "evaluation" else f"{self.name}_answers"


def ref(source: "Node | Ref") -> Ref:
    """An input: the same partition of the node, or all of it where it has none."""
    return source if isinstance(source, Ref) else Ref(source.name)


def every(node: Node) -> Ref:
    """All partitions of a node."""
    return Ref(node.name, "all")


def first(node: Node) -> Ref:
    """The first partition of a node that the profile names."""
    return Ref(node.name, "first")


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they were written down, and the benchmarks that every checkpoint is asked.

    Raises `GraphError` for two nodes of one name, an input that no node is, a circle, or a node without a verb
    that is not the only one or has no cast.
    """

    written: tuple[Node, ...]
    """The nodes of the page; answers and evaluations are derived from them."""
    benchmarks: tuple[Benchmark, ...] = ()
    cast: Cast | None = None
    """Which nodes play the parts of the paper in the report; None for a graph without a report."""
    controls: tuple[Control, ...] = ()
    """Effects that the report shows beside their controls."""

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
        """Every node by name, parents first; of nodes that could come next, the one written first."""
        return {node.name: node for node in _sorted(self._unsorted)}

    @cached_property
    def _unsorted(self) -> list[Node]:
        kept_out = {b.name: Ref(b.problems) for b in self.benchmarks[1:]}
        nodes = [_screened(node, kept_out) for node in self.written if node.verb is not None]
        nodes += [each for benchmark in self.benchmarks for model in list(nodes) for each in _asked(benchmark, model)]
        summaries = [node for node in self.written if node.verb is None]
        return nodes + [
            replace(node, inputs={each.name: Ref(each.name, "all") for each in nodes}) for node in summaries
        ]

    def node(self, name: str) -> Node:
        """The node of this name; raises `UnknownNameError` with the names there are."""
        if name not in self.nodes:
            raise UnknownNameError("asset", name, self.nodes)
        return self.nodes[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    @cached_property
    def checkpoints(self) -> tuple[str, ...]:
        """Nodes whose artifacts are checkpoints, parents first."""
        return tuple(node.name for node in self if node.verb and node.verb.kind is Checkpoint)

    def bases_of(self, rows: str) -> set[str]:
        """The bases of the models that are trained on, or asked, the rows of the node `rows`."""
        readers = [node for node in self if rows in node.parents and node.verb and node.verb.kind in _MODELS]
        found: set[str] = set()
        while readers:
            node = readers.pop()
            line = [ref.node for edge, ref in node.refs if edge in _LINE]
            found |= set() if line else {node.name}
            readers += [self.node(name) for name in line]
        return found

    def evaluation(self, model: str, benchmark: Benchmark | None = None) -> str:
        """The node that holds a checkpoint's scores, on the first benchmark unless another is named."""
        return f"{(benchmark or self.benchmarks[0]).name}/{model}"

    def answers(self, model: str, benchmark: Benchmark | None = None) -> str:
        """The node that holds what a checkpoint said to a benchmark, the first unless another is named."""
        return f"{(benchmark or self.benchmarks[0]).answers}/{model}"

    def descendants(self, name: str) -> set[str]:
        """Every node that is made from `name`, in however many steps."""
        found = {name}
        for node in self:
            if found & set(node.parents):
                found.add(node.name)
        return found - {name}

    def with_nodes(self, *nodes: Node) -> "Graph":
        """This graph with further nodes."""
        return replace(self, written=(*self.written, *nodes))

    def replacing(self, node: Node) -> "Graph":
        """This graph with `node` in the place of the one of its name; raises `UnknownNameError` where there is none."""
        self.node(node.name)
        return replace(self, written=tuple(node if each.name == node.name else each for each in self.written))

    def with_benchmark(self, name: str, problems: Node) -> "Graph":
        """This graph with one more benchmark: `problems` is asked of every checkpoint and kept out of every corpus.

        The profile's recipe `name` says how it is asked and scored (`EvaluateRecipe`).
        """
        return replace(
            self, written=(*self.written, problems), benchmarks=(*self.benchmarks, Benchmark(name, problems.name))
        )

    def deriving(
        self,
        name: str,
        of: str,
        change: Mapping[str, Any],
        about: str,
        group: str = "ablations",
        instead: Mapping[str, str] | None = None,
    ) -> "Graph":
        """This graph with a copy of the node `of` whose recipe has some fields changed: an ablation.

        `instead` names nodes that `of` reads, and for each the node that the copy reads in its place.
        """
        return self.with_nodes(derived(self.node(of), name, change, about, group, instead))

    def branching(
        self, name: str, change: Mapping[str, Mapping[str, Any]], along: Sequence[str], about: str
    ) -> "Graph":
        """This graph with a copy `NODE_NAME` of each node of `along`; the copies read each other, and else the paper's.

        `change` is node -> the fields of its recipe that are changed. What follows from a changed base is thus made
        from that base: a control. `about` says what is changed.
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
        """This graph with further effects that the report shows beside their controls."""
        return replace(self, controls=(*self.controls, *controls))


def derived(
    of: Node,
    name: str,
    change: Mapping[str, Any],
    about: str,
    group: str = "ablations",
    instead: Mapping[str, str] | None = None,
) -> Node:
    """A node like `of`, but with these fields of its recipe changed; it keeps the checks that ask for soundness.

    `instead` names nodes that `of` and its checks read, and for each the node that is read in its place.
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
    """Collects nodes as they are written down, one below the other."""

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
        """Writes a node down: nodes among `arguments` become its inputs, anything else is given to the verb as it is.

        Its recipe is the profile's of the node's own name unless `recipe` names another.
        """
        inputs = {edge: _input(value) for edge, value in arguments.items() if _is_input(value)}
        given = {edge: value for edge, value in arguments.items() if edge not in inputs}
        own = name if recipe == "" else recipe
        made = Node(name, verb, inputs, group, about, own, each, given, tuple(checks), expects, paper_cost)
        return self.add(made)

    def add(self, node: Node) -> Node:
        """Writes a finished node down."""
        self._nodes.append(node)
        return node

    def graph(self, benchmark: Benchmark, cast: Cast) -> Graph:
        """Everything on the page as a graph; raises like `Graph`."""
        return Graph(tuple(self._nodes), (benchmark,), cast)


def _is_input(value: Any) -> bool:
    return isinstance(value, Node | Ref) or (
        isinstance(value, Mapping) and all(isinstance(each, Node | Ref) for each in value.values())
    )


def _input(value: Any) -> Input:
    return {name: ref(each) for name, each in value.items()} if isinstance(value, Mapping) else ref(value)


def _asked(benchmark: Benchmark, model: Node) -> Iterator[Node]:
    """The answers and the evaluation of a checkpoint."""
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


def _screened(node: Node, kept_out: Mapping[str, Ref]) -> Node:
    """A corpus that is merged, screened against all benchmarks."""
    if node.verb is None or node.verb.name != "merge" or not kept_out:
        return node
    return replace(node, inputs={**node.inputs, "benchmarks": dict(kept_out)})


def _check_report(names: list[str], cast: Cast | None) -> None:
    """A node without a verb is the report, of which there is one."""
    if len(names) > 1:
        raise GraphError(f"{names[1]} has no verb, and {names[0]} is the report already; give it a verb")
    if names and cast is None:
        raise GraphError(
            f"{names[0]} has no verb, so it is the report, and the graph has no cast for it; give one of them"
        )


def _check_edges(nodes: Mapping[str, Node]) -> None:
    for node in nodes.values():
        for edge, source in node.refs:
            if source.node not in nodes:
                raise GraphError(f"{node.name} reads {source.node!r} as {edge}, and no node is called so; add it")


def _check_controls(controls: Iterable[Control], models: Sequence[str]) -> None:
    """What is compared must be scored."""
    for control in controls:
        if strangers := [name for name in (*control.pair, *control.under) if name not in models]:
            raise GraphError(
                f"the control of {control.effect!r} compares {', '.join(strangers)}, and no checkpoint is called so; "
                f"there are {', '.join(models)}"
            )


def _sorted(nodes: Iterable[Node]) -> Iterator[Node]:
    """Parents first, else in the order given; raises `GraphError` for a circle."""
    left = list(nodes)
    known = {node.name for node in left}
    done: set[str] = set()
    while left:
        ready = next((node for node in left if set(node.parents) & known <= done), None)
        if ready is None:
            names = ", ".join(node.name for node in left)
            raise GraphError(f"these nodes read each other in a circle, or read one that does: {names}; cut an edge")
        yield ready
        left.remove(ready)
        done.add(ready.name)
