"""Laws of the newest good version where nobody keeps records: gates are decided from what the home holds."""

import os
from pathlib import Path

import pytest
from test_local import Number, Toy

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.artifacts.manifest import folders_of
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.errors import GateFailedError, UnknownNameError
from r1_pipeline.evaluation.gates import Gate
from r1_pipeline.graph.bound import bind
from r1_pipeline.graph.local import run_graph
from r1_pipeline.graph.node import Check, GateContext, Graph, Node
from r1_pipeline.graph.stored import newest_model
from r1_pipeline.runtime.build_context import Build, BuildContext, Verbs

verb = Verbs({"cast": 1})


@verb("data")
def cast(at: BuildContext, recipe: Number) -> Build[Checkpoint]:
    """A model of as many letters as the recipe says."""

    def make(draft: Draft) -> BuildResult:
        (draft.path / "text").write_text(recipe.value * "x", encoding="utf-8")
        return BuildResult({"rows": recipe.value})

    return Build(Checkpoint, recipe, {}, make)


def at_most(limit: int, *, warns: bool = False) -> Check:
    def measure(subject: GateContext) -> list[Gate]:
        rows = subject.artifact.statistics["rows"]
        return [Gate(name="rows", value=rows, sense="at most", limit=limit, detail="letters")]

    return Check("rows", "Few letters.", measure, "A model of six letters.", warns=warns)


def toy(value: int) -> Toy:
    return Toy(recipes={"model": Number(value=value)})


def graph(*checks: Check) -> Graph:
    return Graph((Node("model", cast, {}, "toys", "A model.", "model", checks=checks),))


def found(home: Path, page: Graph) -> int:
    profile = toy(5)
    model = newest_model(home, profile, bind(page, profile.recipes), "model")
    return int(model.statistics["rows"])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two versions: one of 3 letters, and a newer one of 5."""
    for age, value in ((60, 3), (0, 5)):
        run_graph(graph(), toy(value), tmp_path)
        newest = folders_of(tmp_path, Checkpoint.kind, "model")[0]
        if age:
            os.utime(newest, (newest.stat().st_atime - age, newest.stat().st_mtime - age))
    return tmp_path


def test_the_newest_version_that_passes_is_taken(home: Path) -> None:
    assert found(home, graph(at_most(5))) == 5
    assert found(home, graph(at_most(2, warns=True))) == 5
    assert found(home, graph(at_most(4))) == 3  # the newer one has 5


def test_where_none_passes_the_newest_says_why(home: Path) -> None:
    with pytest.raises(
        GateFailedError, match=r"no version of model passes its gates \(gate rows FAILED: 5, must be at "
    ):
        found(home, graph(at_most(2)))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    profile = toy(5)
    bound = bind(graph(), profile.recipes)
    with pytest.raises(GateFailedError, match="model has never been made; run it first: r1 run --select model"):
        newest_model(tmp_path, profile, bound, "model")
    with pytest.raises(UnknownNameError, match="unknown model 'modle'; did you mean model"):
        newest_model(tmp_path, profile, bound, "modle")
