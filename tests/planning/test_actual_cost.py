"""A model's cost is the sum over its lineage: every artifact once, what it did not need left out."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.planning.actual_cost import cost_of_lineage
from r1_pipeline.recipe import Recipe


class Named(Recipe):
    name: str


def make(
    store: Store,
    kind: type[Artifact],
    name: str,
    inputs: Mapping[str, Artifact],
    tokens: Mapping[str, int],
    steps: int = 0,
) -> Artifact:
    def write(draft: Draft) -> BuildResult:
        (draft.path / "data").write_text(name, encoding="utf-8")
        for step in range(1, steps + 1):
            draft.log(step, steps, {"seconds": 100.0, "tokens": 7.0 * step})
        return BuildResult({"tokens": dict(tokens)} if tokens else {})

    return store.build(kind, Spec(name, "stage", 1, Named(name=name), inputs), write)


@pytest.fixture
def model(tmp_path: Path) -> Artifact:
    """Builds base -> its answers -> corpus (which also reads held-out problems) -> model, which also reads the base."""
    store = Store(tmp_path)
    base = make(store, Checkpoint, "base", {}, {"trained": 10})
    heldout = make(store, ProblemSet, "heldout_problems", {}, {})
    answers = make(store, Completions, "said", {"model": base}, {"generated": 5})
    corpus = make(store, Corpus, "corpus", {"answers": answers, "heldout": heldout}, {})
    return make(store, Checkpoint, "dev1", {"base": base, "corpus": corpus}, {}, steps=3)


def test_each_stage_counts_once_and_sources_come_first(model: Artifact, tmp_path: Path) -> None:
    assert list(cost_of_lineage(model, tmp_path, 1, {}).stages) == ["base", "said", "corpus", "dev1"]


def test_tokens_and_times_are_summed_beside_the_plan(model: Artifact, tmp_path: Path) -> None:
    """The manifest of `dev1` has no tokens, so the 21 of its last step count; its 3 steps took 300 s in total."""
    cost = cost_of_lineage(model, tmp_path, 8, {"dev1": 0.5, "said": 0.25, "r1": 9.0})
    assert (cost.total.generated, cost.total.trained) == (5, 31)
    assert cost.stages["dev1"].seconds == 300
    assert cost.stages["dev1"].device_seconds == 2400
    assert cost.stages["dev1"].planned_device_seconds == 1800
    assert cost.stages["said"].planned_device_seconds == 900
    assert cost.stages["base"].planned_device_seconds is None
    assert cost.total.planned_device_seconds == 2700
