"""Laws of the traversal of manifests: every artifact comes once, nearer ones first, along the caller's edges only."""

from pathlib import Path

import pytest

from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.edges import exclusion_edge, is_exclusion_edge, is_selection_edge, is_training_edge, role_of
from r1_pipeline.artifacts.kinds import Artifact, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store, open_input
from r1_pipeline.recipe import Recipe


class Named(Recipe):
    name: str


def make(home: Path, name: str, **inputs: Artifact) -> Artifact:
    def write(draft: Draft) -> BuildResult:
        (draft.path / "data").write_text(name, encoding="utf-8")
        return BuildResult()

    return Store(home).build(ProblemSet, Spec(name, "stage", 1, Named(name=name), inputs), write)


def test_each_ancestor_comes_once_and_the_nearer_first(tmp_path: Path) -> None:
    """The root is three edges away from the end by left and low, and two edges away by right."""
    root = make(tmp_path, "root")
    left, right = make(tmp_path, "left", a=root), make(tmp_path, "right", a=root)
    end = make(tmp_path, "end", low=make(tmp_path, "low", a=left), right=right)

    def sources(artifact: Artifact) -> list[Artifact]:
        return [open_input(tmp_path, edge) for edge in artifact.manifest.inputs.values()]

    assert [each.name for each in with_ancestors([end], sources)] == ["end", "low", "right", "left", "root"]
    assert [each.name for each in with_ancestors([left, right, left], sources)] == ["left", "right", "root"]


def test_what_the_caller_does_not_follow_is_not_reached(tmp_path: Path) -> None:
    root, other = make(tmp_path, "root"), make(tmp_path, "other")
    end = make(tmp_path, "end", corpus=make(tmp_path, "corpus", problems=root), heldout=other)

    def taught_by(artifact: Artifact) -> list[Artifact]:
        return [open_input(tmp_path, edge) for name, edge in artifact.manifest.inputs.items() if is_training_edge(name)]

    assert [each.name for each in with_ancestors([end], taught_by)] == ["end", "corpus", "root"]


@pytest.mark.parametrize(
    ("edge", "verb", "role"),
    [
        ("corpus", "finetune", "trains on"),
        ("heldout", "merge", "keeps out"),
        (exclusion_edge("exam_problems"), "merge", "keeps out"),
        ("heldout", "evaluate", "measures"),
        ("tokenizer_of", "draft_cold_start", "counts"),
        ("budget", "reinforce", "budgets"),
        ("difficulty", "reinforce", "selects"),
        ("answers", "measure_difficulty", "measures"),
    ],
)
def test_an_edge_has_the_role_that_its_name_says(edge: str, verb: str, role: str) -> None:
    assert role_of(edge, verb) == role
    if role != "measures":
        roles = (is_training_edge(edge), is_exclusion_edge(edge), is_selection_edge(edge))
        assert roles == (role == "trains on", role == "keeps out", role == "selects")
