"""Runs a graph without Dagster: makes every artifact in order, decides its gates and writes the report.

    run_graph(DEEPSEEK_R1, load_profile("smoke", seed=0), Path("home"))

It makes the same artifacts as a Dagster run, at the same addresses, so that either resumes what the other left.
Tracking, schedules and re-runs of changed parts belong to `dagster_defs`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.kinds import Artifact, EvalReport, peek_artifact
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import Store
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import ArtifactError, GateFailedError
from r1_pipeline.evaluation.collect import Material, RunFacts, collect, write_completions, write_report
from r1_pipeline.evaluation.gates import Gate, GateLimits, failures
from r1_pipeline.evaluation.report import ReportRecipe
from r1_pipeline.graph.bound import Bound, Recipes, bind, walk
from r1_pipeline.graph.node import AssetName, Graph, Ref
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.training.base_tokenizer import base_tokenizer
from r1_pipeline.training.import_pretrained import ImportRecipe
from r1_pipeline.training.pretrain import PretrainRecipe
from r1_pipeline.verbs import ReinforceRecipe

Find = Callable[[AssetName], Artifact]
REPORT = "report"
"""Folder of the home that holds the newest report."""


class Setting(Protocol):
    """The part of a profile that a run needs."""

    @property
    def name(self) -> str:
        """Name of the profile in the report."""

    @property
    def seed(self) -> int:
        """The seed that all its other seeds derive from."""

    @property
    def recipes(self) -> Recipes:
        """Node -> its recipe."""

    @property
    def runtime(self) -> Runtime:
        """Devices, threads and launchers that stages run with."""

    @property
    def gates(self) -> GateLimits:
        """Limits of the gates."""

    @property
    def overrides(self) -> Sequence[object]:
        """Fields of recipes that a user has set; the report shows them."""


def run_graph(
    graph: Graph, profile: Setting, home: Path, select: Iterable[str] | None = None, observer: Observer | None = None
) -> dict[str, Artifact]:
    """Makes every artifact of `graph`, or of the nodes `select` and everything upstream; returns them by name.

    `profile` has the recipes and the runtime. Artifacts are stored in the folder `home`, which is created if needed;
    finished ones are reused. `observer` is notified of the start and end of computations, and of reuse.

    Raises `GateFailedError` at the first gate that fails, `GraphError` for a profile that does not fit, and the errors
    of verbs.
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
    """Returns the nodes and everything upstream of them; raises `UnknownNameError` for an unknown node."""
    wanted = {bound.graph.node(name).name for name in nodes}
    for node in reversed(list(bound.graph)):
        if node.name in wanted:
            wanted |= set(node.parents)
    return wanted


@dataclass(frozen=True)
class GatedArtifact:
    """A finished artifact that gates examine (`graph.node.GateContext`)."""

    bound: Bound
    name: AssetName
    artifact: Artifact
    limits: GateLimits
    runtime: Runtime
    find: Find
    """Function that returns any artifact of the graph, making it if needed."""

    @property
    def recipe(self) -> Recipe | None:
        """Recipe of its node."""
        return self.bound.recipe(self.name)

    @property
    def templates(self) -> frozenset[TemplateName]:
        """Templates that models of the graph are RL-trained with."""
        recipes = (self.bound.recipe(name) for name in self.bound.names.values())
        return frozenset(recipe.template for recipe in recipes if isinstance(recipe, ReinforceRecipe))

    def input(self, ref: Ref) -> Artifact:
        """Returns the artifact that `ref` means at this artifact's node."""
        return self.find(self._one(ref))

    def tokenizers(self) -> dict[str, Any]:
        """Returns the tokenizer of each base whose models read this set; each is built once per process."""
        bases = (name for base in self.bound.graph.bases_of(self.name.asset) for name in self.bound.names_of(base))
        return {str(name): _tokenizer(self.bound.recipe(name), self.runtime) for name in bases}

    def scores(self, model: Ref | None = None) -> EvalReport:
        """Returns the scores on the first benchmark."""
        name = self.name if model is None else self._one(model)
        report = self.find(self.bound.evaluation(name))
        assert isinstance(report, EvalReport)
        return report

    def _one(self, ref: Ref) -> AssetName:
        instead = self.bound.graph.node(self.name.asset).instead
        resolved = self.bound.resolve(self.name, replace(ref, node=instead.get(ref.node, ref.node)))
        assert isinstance(resolved, AssetName)
        return resolved


def _tokenizer(recipe: Recipe | None, runtime: Runtime) -> Any:
    assert isinstance(recipe, PretrainRecipe | ImportRecipe)
    return base_tokenizer(recipe, runtime)


def decide(judged: GatedArtifact, *, warnings: bool = True) -> Mapping[str, list[Gate]]:
    """Decides the gates of one artifact, by check; without `warnings`, only those that can stop a run."""
    checks = judged.bound.graph.node(judged.name.asset).checks
    return {check.name: check.decide(judged) for check in checks if warnings or not check.warns}


def lineage_of(artifact: Artifact, home: Path, bound: Bound) -> dict[AssetName, Path]:
    """Finds the folders of `artifact` and of its ancestors in the graph; of two versions it takes the nearer.

    It reads only manifests.
    """
    found: dict[AssetName, Path] = {}

    def sources(of: Artifact) -> list[Artifact]:
        counts = of.path in found.values()  # other versions and artifacts outside the graph are not followed
        return [peek_artifact(edge.path(home)) for edge in of.manifest.inputs.values()] if counts else []

    for each in with_ancestors([artifact], sources):
        if name := bound.names.get(each.name):
            found.setdefault(name, each.path)
    return found


def write_graph_report(
    bound: Bound, name: AssetName, artifacts: Mapping[AssetName, Artifact], profile: Setting, run: RunFacts
) -> Path:
    """Writes the report of `artifacts`, which must be complete, and the page of completions; returns their folder."""
    recipe = bound.recipe(name)
    assert isinstance(recipe, ReportRecipe)
    folder, run = run.home / REPORT, run.model_copy(update={"overrides": tuple(map(str, profile.overrides))})
    material = material_of(bound, artifacts, profile)
    write_report(folder, collect(material, run, recipe))
    write_completions(folder, material, run)
    return folder


def material_of(bound: Bound, artifacts: Mapping[AssetName, Artifact], profile: Setting) -> Material:
    """Collects the material of a report with every gate decided; raises `ArtifactError` for a missing artifact."""

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
        published={each.name: each.paper for each in bound.graph.benchmarks if each.paper},
    )
