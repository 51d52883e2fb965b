"""The whole paper without Dagster: every artifact in order, its gates decided, the report at the end.

    run_graph(DEEPSEEK_R1, load_profile("smoke", seed=0), Path("home"))

It makes the artifacts that a Dagster run would make, at the same addresses, so either can go on with what the other
left. Not covered: tracking, schedules, partial re-runs by what changed (`dagster_defs`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.kinds import Artifact, EvalReport, peek_artifact
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import ArtifactError, GateFailedError
from r1_pipeline.evaluation.collect import Material, RunFacts, collect, write_report
from r1_pipeline.evaluation.gates import Gate, GateLimits, failures
from r1_pipeline.evaluation.report import ReportRecipe
from r1_pipeline.graph.bound import Bound, Recipes, bind, walk
from r1_pipeline.graph.node import AssetName, Graph, Ref
from r1_pipeline.recipe import Recipe, Runtime, fingerprint
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.training.base_tokenizer import base_tokenizer
from r1_pipeline.training.import_pretrained import ImportRecipe
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.verbs import ReinforceRecipe

Find = Callable[[AssetName], Artifact]
REPORT = "report"
"""Folder of the home that holds the newest report."""


class Setting(Protocol):
    """What of a profile a run needs."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    @property
    def seed(self) -> int:
        """Root of its seeds."""

    @property
    def recipes(self) -> Recipes:
        """Node -> its recipe."""

    @property
    def runtime(self) -> Runtime:
        """How and where it runs."""

    @property
    def gates(self) -> GateLimits:
        """Limits of the gates."""


def run_graph(
    graph: Graph, profile: Setting, home: Path, select: Iterable[str] | None = None, observer: Observer | None = None
) -> dict[str, Artifact]:
    """Makes every artifact of `graph`, or of the nodes of `select` and all that they need; returns them by name.

    `profile` has the recipes and the runtime. Artifacts are kept in the folder `home`, which is made where it does not
    exist; what is finished there is reused. `observer` is told what begins, ends and is reused.

    Raises `GateFailedError` at the first gate that says no, `GraphError` for a profile that does not fit, and what
    verbs raise.
    """
    bound = bind(graph, profile.recipes)
    store = Store(home, observer, device=profile.runtime.device)
    made: dict[AssetName, Artifact] = {}

    def find(name: AssetName) -> Artifact:
        if name not in made:
            made[name] = bound.make(name, BuildContext(store, profile.runtime, str(name)), find)
        return made[name]

    for name in walk(bound, with_upstream(bound, select) if select is not None else None):
        if graph.node(name.asset).verb is None:
            run = RunFacts(profile=profile.name, seed=profile.seed, home=home, pipeline_run="")
            write_graph_report(bound, name, {each: find(each) for each in bound.reads(name)}, profile, run)
            continue
        decisions = decide(GatedArtifact(bound, name, find(name), profile.gates, profile.runtime, find))
        for gate in (gate for gates in decisions.values() for gate in failures(gates)):
            if gate.blocking:
                raise GateFailedError(f"{name}: gate {gate}; correct its recipe or inputs, and run again")
            store.observer.noted(str(name), f"gate {gate}")
    return {str(name): artifact for name, artifact in made.items()}


def with_upstream(bound: Bound, nodes: Iterable[str]) -> set[str]:
    """The nodes, and all that they are made from; raises `UnknownNameError` for one that does not exist."""
    wanted = {bound.graph.node(name).name for name in nodes}
    for node in reversed(list(bound.graph)):
        if node.name in wanted:
            wanted |= set(node.parents)
    return wanted


@dataclass(frozen=True)
class GatedArtifact:
    """A finished artifact under judgement (`graph.node.Subject`)."""

    bound: Bound
    name: AssetName
    artifact: Artifact
    limits: GateLimits
    runtime: Runtime
    find: Find
    """Gives any artifact of the graph, made where it does not exist."""

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of its node."""
        return self.bound.recipe(self.name)

    @property
    def templates(self) -> frozenset[TemplateName]:
        """Every template in which some model of the graph is reinforced."""
        recipes = (self.bound.recipe(name) for name in self.bound.names.values())
        return frozenset(recipe.template for recipe in recipes if isinstance(recipe, ReinforceRecipe))

    def input(self, ref: Ref) -> Artifact:
        """The artifact behind `ref`, seen from this one's node."""
        return self.find(self._one(ref))

    def tokenizers(self) -> dict[str, Any]:
        """Base -> its tokenizer, of the bases whose models read this set; each is made once in a process."""
        bases = (name for base in self.bound.graph.bases_of(self.name.asset) for name in self.bound.names_of(base))
        return {str(name): _tokenizer(self.bound.recipe(name), self.runtime) for name in bases}

    def scores(self, model: Ref | None = None) -> EvalReport:
        """Scores on the first benchmark."""
        name = self.name if model is None else self._one(model)
        report = self.find(self.bound.evaluation(name))
        assert isinstance(report, EvalReport)
        return report

    def _one(self, ref: Ref) -> AssetName:
        instead = self.bound.graph.node(self.name.asset).instead
        resolved = self.bound.resolve(self.name, replace(ref, node=instead.get(ref.node, ref.node)))
        assert isinstance(resolved, AssetName)
        return resolved


_tokenizers: dict[str, Any] = {}


def _tokenizer(recipe: Recipe | None, runtime: Runtime) -> Any:
    assert isinstance(recipe, PretrainRecipe | ImportRecipe)
    key = fingerprint(recipe)
    if key not in _tokenizers:
        _tokenizers[key] = base_tokenizer(recipe, runtime)
    return _tokenizers[key]


def decide(judged: GatedArtifact, *, warnings: bool = True) -> Mapping[str, list[Gate]]:
    """Check -> what its gates measured, of one artifact; without `warnings` only of those that can stop anything."""
    checks = judged.bound.graph.node(judged.name.asset).checks
    return {check.name: check.decide(judged) for check in checks if warnings or not check.warns}


def lineage_of(artifact: Artifact, home: Path, bound: Bound) -> dict[AssetName, Path]:
    """Folder of `artifact` and of everything in the graph that it was made from; of two versions the nearer counts.

    Only manifests are read.
    """
    found: dict[AssetName, Path] = {}

    def sources(of: Artifact) -> list[Artifact]:
        counts = of.path in found.values()  # neither a further version nor a stranger to the graph is followed
        return [peek_artifact(edge.path(home)) for edge in of.manifest.inputs.values()] if counts else []

    for each in with_ancestors([artifact], sources):
        if name := bound.names.get(each.name):
            found.setdefault(name, each.path)
    return found


def write_graph_report(
    bound: Bound, name: AssetName, artifacts: Mapping[AssetName, Artifact], profile: Setting, run: RunFacts
) -> Path:
    """Writes the report of these artifacts, which are all that there are; returns its folder."""
    recipe = bound.recipe(name)
    assert isinstance(recipe, ReportRecipe)
    folder = run.home / REPORT
    write_report(folder, collect(material_of(bound, artifacts, profile), run, recipe))
    return folder


def material_of(bound: Bound, artifacts: Mapping[AssetName, Artifact], profile: Setting) -> Material:
    """What a report is made from, every gate decided; raises `ArtifactError` where a gate lacks an artifact."""

    def find(name: AssetName) -> Artifact:
        if name not in artifacts:
            there = ", ".join(sorted(map(str, artifacts)))
            raise ArtifactError(f"no {str(name)!r} among the artifacts of the report; there are {there}")
        return artifacts[name]

    assert bound.graph.cast is not None
    evaluations = {
        benchmark.name: {
            str(model): scores
            for model in bound.names.values()
            if isinstance(scores := artifacts.get(bound.evaluation(model, benchmark)), EvalReport)
        }
        for benchmark in bound.graph.benchmarks
    }
    return Material(
        artifacts={str(each): artifacts[each] for each in bound.names.values() if each in artifacts},
        node_of={text: each.asset for text, each in bound.names.items()},
        evaluations=evaluations,
        decisions={
            str(each): decide(GatedArtifact(bound, each, artifact, profile.gates, profile.runtime, find))
            for each, artifact in artifacts.items()
        },
        cast=bound.graph.cast,
        controls=bound.graph.controls,
    )
