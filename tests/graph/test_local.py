"""Laws of running a graph without Dagster, on artifacts that take no time: order, selection, gates, reuse."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, RewardModel
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult, Store
from r1_pipeline.errors import GateFailedError, UnknownNameError
from r1_pipeline.evaluation.gates import Gate, GateLimits
from r1_pipeline.graph.bound import Recipes, bind
from r1_pipeline.graph.local import lineage_of, run_graph
from r1_pipeline.graph.node import AssetName, Check, GateContext, Graph, Node, Ref
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.runtime.build_context import Build, BuildContext, Verbs

verb = Verbs({"sow": 1, "reap": 1, "graft": 1})


class Number(Recipe):
    value: int


def written(draft: Draft, text: str) -> BuildResult:
    (draft.path / "text").write_text(text, encoding="utf-8")
    return BuildResult({"rows": len(text)})


@verb("data")
def sow(at: BuildContext, recipe: Number) -> Build[RewardModel]:
    """Writes as many letters as the recipe says."""
    return Build(RewardModel, recipe, {}, lambda draft: written(draft, recipe.value * "x"))


@verb("data")
def reap(at: BuildContext, seed: RewardModel) -> Build[RewardModel]:
    """Writes the same letters again."""
    return Build(RewardModel, Recipe(), {"seed": seed}, lambda draft: written(draft, (seed.path / "text").read_text()))


@verb("data")
def graft(at: BuildContext, stock: RewardModel, scion: RewardModel) -> Build[RewardModel]:
    """Writes one letter from two inputs."""
    return Build(RewardModel, Recipe(), {"stock": stock, "scion": scion}, lambda draft: written(draft, "y"))


class Heard(Observer):
    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def noted(self, name: str, message: str) -> None:
        self.notes.append((name, message))


def rows(subject: GateContext) -> list[Gate]:
    """Compares the rows of the subject with those of its input."""
    value, limit = subject.artifact.statistics["rows"], subject.input(Ref("seed")).statistics["rows"]
    return [Gate(name="rows", value=value, sense="at most", limit=limit - 2, detail="letters")]


def page(*checks: Check) -> Graph:
    """Builds the graph seed -> crop of each field -> bread, with unconnected weeds."""
    return Graph(
        (
            Node("bread", reap, {"seed": Ref("crop", "first")}, "toys", "Bread.", None),
            Node("seed", sow, {}, "toys", "Seed.", "seed"),
            Node("field", sow, {}, "toys", "Fields.", "field", each="fields"),
            Node("crop", reap, {"seed": Ref("field")}, "toys", "Crops.", None, each="fields", checks=checks),
            Node("weeds", sow, {}, "toys", "Weeds.", "weeds"),
        )
    )


@dataclass(frozen=True)
class Toy:
    """The part of a profile that `run_graph` needs."""

    recipes: Recipes = field(
        default_factory=lambda: {
            "seed": Number(value=5),
            "field": {"north": Number(value=3), "south": Number(value=4)},
            "weeds": Number(value=1),
        }
    )
    runtime: Runtime = field(default_factory=Runtime)
    gates: GateLimits = field(
        default_factory=lambda: GateLimits(
            gain_over_base=0,
            format_rate=0,
            language_consistency=0,
            preference_accuracy=0,
            unknown_characters=0,
            regression=0,
            answer_excess=0,
            licences=(),
        )
    )
    name: str = "toy"
    seed: int = 0


class Made(Observer):
    def __init__(self) -> None:
        self.names: list[str] = []

    def finished(self, artifact: Artifact) -> None:
        self.names.append(artifact.name)


def test_everything_is_made_once_parents_first(tmp_path: Path) -> None:
    seen = Made()
    made = run_graph(page(), Toy(), tmp_path, observer=seen)
    assert seen.names == ["seed", "field/north", "field/south", "crop/north", "crop/south", "bread", "weeds"]
    assert {name: artifact.statistics["rows"] for name, artifact in made.items()} == {
        **{"seed": 5, "field/north": 3, "field/south": 4, "crop/north": 3, "crop/south": 4, "bread": 3, "weeds": 1},
    }
    again = Made()
    assert run_graph(page(), Toy(), tmp_path, observer=again).keys() == made.keys()
    assert again.names == []


def test_a_selection_makes_the_nodes_and_what_they_need(tmp_path: Path) -> None:
    made = run_graph(page(), Toy(), tmp_path, select=["bread"])
    assert set(made) == {"field/north", "field/south", "crop/north", "crop/south", "bread"}
    with pytest.raises(UnknownNameError, match=r"unknown asset 'cake'.*bread"):
        run_graph(page(), Toy(), tmp_path, select=["cake"])


def test_a_failed_gate_stops_what_is_below_with_value_and_limit(tmp_path: Path) -> None:
    """North has 3 letters of at most 5 - 2, south 4: so south stops the run before bread."""
    seen = Made()
    with pytest.raises(GateFailedError, match=r"^crop/south: gate rows FAILED: 4, must be at most 3 \(letters\); corr"):
        run_graph(page(Check("rows", "Few letters.", rows, "Many letters.")), Toy(), tmp_path, observer=seen)
    assert "crop/south" in seen.names
    assert not {"bread", "weeds"} & set(seen.names)


def test_of_two_versions_the_lineage_has_the_nearer_and_only_what_that_was_made_from(tmp_path: Path) -> None:
    """The inputs are tree <- bush <- crop <- old seed <- weeds, and tree <- new seed; `wild` is not in the graph."""
    store = Store(tmp_path)

    def at(name: str) -> BuildContext:
        return BuildContext(store, Runtime(), name)

    weeds, wild, new = (sow(at(name), Number(value=n)) for n, name in enumerate(("weeds", "wild", "seed"), 1))
    old = reap(at("seed"), weeds)
    crop = reap(at("crop"), graft(at("wild"), old, wild))
    bush = graft(at("bush"), reap(at("crop"), old), crop)
    tree = graft(at("tree"), bush, new)
    nodes = (
        Node("weeds", sow, {}, "toys", "Weeds.", "weeds"),
        Node("seed", reap, {"seed": Ref("weeds")}, "toys", "Seed.", None),
        Node("crop", reap, {"seed": Ref("seed")}, "toys", "Crops.", None),
        Node("bush", graft, {"stock": Ref("crop"), "scion": Ref("crop")}, "toys", "Bush.", None),
        Node("tree", graft, {"stock": Ref("bush"), "scion": Ref("seed")}, "toys", "Tree.", None),
    )
    found = lineage_of(tree, tmp_path, bind(Graph(nodes), {"weeds": Number(value=1)}))
    first_crop = Store(tmp_path).root / "reward_model" / "crop" / bush.manifest.inputs["stock"].fingerprint
    nearest = {"tree": tree.path, "bush": bush.path, "seed": new.path, "crop": first_crop}
    assert found == {AssetName(name): path for name, path in nearest.items()}


def test_a_gate_that_warns_is_said_aloud_and_stops_nothing(tmp_path: Path) -> None:
    heard = Heard()
    graph = page(Check("rows", "Few letters.", rows, "Many letters.", warns=True))
    assert "bread" in run_graph(graph, Toy(), tmp_path, observer=heard)
    assert heard.notes == [("crop/south", "gate rows FAILED: 4, must be at most 3 (letters)")]
