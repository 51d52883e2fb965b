"""Laws of lineage: a row leads back to its source line and the base, and a source forward to every model."""

from pathlib import Path

import pytest
from lineage_world import Shop, World, problem

from r1_pipeline.errors import ArtifactError, WrongKindError
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.page import page
from r1_pipeline.lineage.trace import Node, trace
from r1_pipeline.lineage.training_data import models_trained_on, training_sources


def below(node: Node, part: str) -> Node:
    return next(inner for inner in node.below if inner.part == part)


def test_a_row_leads_to_its_problem_its_line_its_sampling_and_the_base(world: World) -> None:
    row = world.corpus.samples()[0]
    root = trace(world.library, row.sample_id)
    assert (root.name, root.facts["response"]) == (row.sample_id, row.response)
    number = int(row.question.split()[2])
    asked = below(root, "problem")
    assert (asked.name, asked.facts["source"], asked.facts["line"]) == (row.problem_id, "sums/train.jsonl", number)
    assert asked.facts["licence"] == ("Apache-2.0" if number == 3 else "MIT")
    assert asked.facts["reference answer"] == str(2 * number)
    assert below(root, "sampling").facts["seed"] == 17
    assert below(root, "verdict").name == "correct"
    assert {node.name for node in root.below if node.part == "stands in"} == {"sft_corpus", "reasoning_traces/math"}
    writer = below(root, "written by")
    assert (writer.name, writer.facts["digest"]) == ("dev2", world.dev2.digest)
    assert below(writer, "policy").name == "base"
    assert row.response.replace("<", "&lt;").replace(">", "&gt;") in page(root)


def test_a_copied_folder_is_enough_and_what_it_lacks_is_said(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    base = copy / world.base.path.relative_to(world.home / "artifacts")
    base.rename(tmp_path / "gone")
    root = trace(Library.of(copy), world.corpus.samples()[0].sample_id)
    lost = below(below(root, "written by"), "policy")
    assert lost.facts == {"digest": world.base.digest, "missing": f"not under {copy}"}


@pytest.mark.parametrize("name", ["a_prompts", "z_prompts"])
def test_problem_sets_may_differ_in_their_columns(name: str, world: World, tmp_path: Path) -> None:
    """A set of prompts has a column for their kinds, other sets have none; the order in which they are read does not
    matter."""
    home = tmp_path / "home"
    world.copy(home / "artifacts")
    Shop(home).problems(name, [problem(77).model_copy(update={"kind": "helpful"})])
    sample = next(iter(world.corpus.samples())).sample_id
    assert named(trace(Library.of(home), sample)) == named(trace(world.library, sample))


def named(node: Node) -> tuple[str, str, tuple[object, ...]]:
    return node.part, node.name, tuple(map(named, node.below))


def test_an_unknown_row_is_refused_with_a_hint(world: World) -> None:
    with pytest.raises(ArtifactError, match=r"nothing under .* has a row 'feed'; ids are the columns sample_id"):
        trace(world.library, "feed")


def test_a_models_sources_are_its_own_rows_and_those_of_its_teachers(world: World) -> None:
    shares = {(s.learner, s.data, s.source, s.licence): s.rows for s in training_sources(world.library, world.dev3)}
    assert shares == {
        ("dev3", "sft_corpus", "sums/train.jsonl", "Apache-2.0"): 2,
        ("dev3", "sft_corpus", "sums/train.jsonl", "MIT"): 14,
        ("dev2", "reasoning_problems", "sums/train.jsonl", "Apache-2.0"): 1,
        ("dev2", "reasoning_problems", "sums/train.jsonl", "MIT"): 7,
        ("base", "made by pretrain", "web@1", "CC0-1.0"): 40,
    }
    with pytest.raises(WrongKindError, match="not a model"):
        training_sources(world.library, world.corpus)


def test_a_row_a_line_and_a_licence_lead_to_the_models_that_learned_from_them(world: World) -> None:
    def learned(wanted: str) -> dict[str, tuple[int, tuple[str, ...]]]:
        return {one.model: (one.rows, one.through) for one in models_trained_on(world.library, wanted)}

    row = world.corpus.samples()[0]
    assert learned(row.sample_id) == {"dev3": (1, ())}
    assert learned("sums/train.jsonl:3") == {"dev2": (1, ()), "dev3": (2, ("dev2",))}
    assert learned("CC0-1.0") == {"base": (40, ()), "dev2": (0, ("base",)), "dev3": (0, ("base",))}
    with pytest.raises(ArtifactError, match=r"no row has the id, source or licence 'GPL-3.0'"):
        models_trained_on(world.library, "GPL-3.0")


def test_held_out_problems_teach_nobody(world: World) -> None:
    assert models_trained_on(world.library, world.heldout.problems()[0].id) == []
