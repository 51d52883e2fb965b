"""Laws of stored rollouts: traced, audited and graded again like rows of a corpus."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from huggingface_hub import DatasetCard, ModelCard
from lineage_world import World
from rollout_world import reinforced

from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.cli.rollouts import follow
from r1_pipeline.errors import ArtifactError, WrongKindError
from r1_pipeline.evaluation.regrade import regrade
from r1_pipeline.evaluation.rollout_health import examples, health, warnings
from r1_pipeline.evaluation.rollouts import reward_changes
from r1_pipeline.lineage.audit import audit
from r1_pipeline.lineage.export import export, export_rollouts
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.trace import trace
from r1_pipeline.lineage.training_data import rollout_sources
from r1_pipeline.recipe import Runtime
from r1_pipeline.rewards.graders import default_grader

RUNTIME = Runtime(threads=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("rollouts") / "home"
    reinforced(home)
    return home


@pytest.fixture
def model(home: Path) -> Checkpoint:
    found = Library.of(home).find("r1_zero")
    assert isinstance(found, Checkpoint)
    return found


def test_an_audit_computes_rewards_and_advantages_again(home: Path) -> None:
    result = audit(Library.of(home), None, full=False, runtime=RUNTIME)
    assert result.findings == ()
    assert result.rollouts == 16


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"text": "<think>x</think>\n\nIt is \\boxed{1}."}, "has been edited"),
        ({"reward": 0.6}, "has a reward that is not the weighted sum of its parts"),
        ({"advantage": 0.25}, "has an advantage that does not follow from its group's rewards"),
        ({"outcome": "wrong"}, "has an accuracy that is not that of its outcome"),
    ],
)
def test_an_edited_rollout_is_named(change: dict[str, object], what: str, tmp_path: Path) -> None:
    def edit(rows: pl.DataFrame) -> pl.DataFrame:
        first = pl.int_range(pl.len()) == 0
        return rows.with_columns(
            pl.when(first).then(pl.lit(new)).otherwise(pl.col(name)).alias(name) for name, new in change.items()
        )

    edited = reinforced(tmp_path, edit)
    wanted = edited.rollouts().collect()["rollout_id"][0]
    found = audit(Library.of(tmp_path), None, full=False, runtime=RUNTIME).findings
    assert any(each.where == f"rollout {wanted}" and what in each.what for each in found), found


def test_a_verdict_that_changes_is_named(tmp_path: Path) -> None:
    """All four answers of prompt 1 to 2 + 2 are stored as right; three of them are not."""

    def lie(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(outcome=pl.when(pl.col("prompt") == 1).then(pl.lit("correct")).otherwise("outcome"))

    reinforced(tmp_path, lie)
    found = audit(Library.of(tmp_path), None, full=True, runtime=RUNTIME).findings
    assert sum("was rewarded as correct" in each.what for each in found) == 3


def test_a_rollout_leads_to_its_problem_its_reward_and_the_model_that_it_moved(home: Path, model: Checkpoint) -> None:
    row = model.rollouts().filter(pl.col("prompt") == 2).collect().row(0, named=True)
    root = trace(Library.of(home), row["rollout_id"])
    below = {node.part: node for node in root.below}
    assert (root.part, root.facts["step"], root.facts["prompt"]) == ("rollout", 2, 2)
    assert below["problem"].facts["line"] == 3
    assert below["problem"].facts["reference answer"] == "6"
    assert below["verdict"].name == "correct"
    assert below["reward"].facts == {"accuracy": 1.0, "format": 1.0, "advantage": 0.0}
    assert below["moved the weights of"].name == "r1_zero"
    assert {node.part for node in below["moved the weights of"].below} == {"policy", "problems"}


def test_a_model_leads_to_the_sources_of_its_rollouts(home: Path, model: Checkpoint, world: World) -> None:
    (row,) = rollout_sources(Library.of(home), model)
    assert (row.learner, row.source, row.licence) == ("r1_zero", "sums/train.jsonl", "MIT")
    assert (row.prompts, row.rollouts, row.flat) == (4, 16, 0.25)
    assert row.reward == pytest.approx((3 + 1 + 4 + 2) / 16 + (8 * 0.1 + 8 * 0.2) / 16)
    with pytest.raises(ArtifactError, match="neither dev3 nor what it learned from has stored rollouts"):
        rollout_sources(world.library, world.dev3)
    with pytest.raises(WrongKindError):
        rollout_sources(world.library, world.corpus)


def test_rewards_of_other_verdicts_are_counted_by_group(model: Checkpoint) -> None:
    """Prompt 2 is answered right four times. Were one of them wrong, its group would have had an advantage."""
    rows = model.rollouts().collect()
    one = rows.filter(pl.col("prompt") == 2)["rollout_id"][0]
    changed = reward_changes(model, {one: 0.0})
    assert (changed.rollouts, changed.groups, changed.all_groups) == (1, 1, 4)
    # rewards 0.2, 1.2, 1.2, 1.2: deviation 0.5, mean 0.95; |-0.75| and three times |0.25|, over 0.5001
    shift = 1.5 / 0.5001
    assert changed.advantage == pytest.approx(shift / rows["advantage"].abs().sum())
    assert reward_changes(model, {}).rollouts == 0


def test_grading_again_with_the_same_verifier_changes_nothing(home: Path, model: Checkpoint) -> None:
    sets = [ProblemSet.open(each.path) for each in Library.of(home).of_kind(ProblemSet)]
    with default_grader(RUNTIME) as grader:
        again = regrade(model, None, sets, grader)
    assert (again.judged, again.flips) == (16, ())
    assert again.rewards is not None
    assert again.rewards.groups == 0


def test_a_model_that_was_not_reinforced_holds_no_rollouts(world: World) -> None:
    with pytest.raises(ArtifactError, match="base holds no rollouts"):
        world.base.rollouts()


def test_health_is_measured_by_step(model: Checkpoint) -> None:
    found = health(model.rollouts())
    assert found.rollouts == 16
    first, second = found.periods
    assert (first.step, first.rollouts, first.tokens, first.flat) == (0, 8, 6.5, 0.0)
    assert (second.step, second.flat, second.parts) == (2, 0.5, {"accuracy": 0.75, "format": 1.0})
    assert first.outcomes == {"correct": 4, "wrong": 4}
    assert (first.language, first.entropy) == (1.0, None)
    assert found.warnings == ()


def test_the_updates_by_rollouts_are_measured_with_them(model: Checkpoint) -> None:
    """Rollouts are sampled at steps 0 and 2: steps 1 and 2 are updates by the former, steps 3 and 4 by the latter."""
    steps = [{"step": s, "entropy": e, "clipped": c} for s, e, c in ((1, 2.0, 0.0), (2, 1.0, 0.2), (3, 0.1, 0.4))]
    found = health(model.rollouts(), [*steps, {"step": 4}])
    assert [(each.entropy, each.clipped) for each in found.periods] == [(1.5, 0.1), (0.1, 0.4)]
    assert [each.partition(":")[0].partition(",")[0] for each in found.warnings] == [
        "entropy fell from 1.50 to 0.100 nats per token",
        "the ratio of 40% of the last tokens was clipped",
    ]


def test_a_drift_of_the_language_is_seen_in_the_texts(model: Checkpoint) -> None:
    half = pl.when(pl.col("step") == 2).then(pl.lit("<think>这 里 有 很 多 字</think>")).otherwise("text")
    found = health(model.rollouts().with_columns(text=half))
    assert [each.language for each in found.periods] == [1.0, 0.0]
    assert found.warnings[-1].startswith("language consistency fell from 1.00 to 0.00")


def test_a_policy_that_never_writes_the_form_is_warned_of(model: Checkpoint) -> None:
    period = (
        health(model.rollouts()).periods[0].model_copy(update={"parts": {"format": 0.0, "accuracy": 0.0}, "flat": 1.0})
    )
    said = warnings((period, period))
    assert said[0].startswith("format reward is 0 for all 16 rollouts: the model never writes the form")
    assert said[1].startswith("accuracy is 0 for all rollouts")
    assert (
        said[2]
        == "100% of the last rollouts are in groups of equal rewards, which have no gradient; take easier problems"
    )
    right = period.model_copy(update={"parts": {"format": 1.0, "accuracy": 0.95}})
    assert warnings((right,)) == [
        (
            "100% of the last rollouts are in groups of equal rewards, which have no gradient; "
            "all answers are right: take harder problems"
        )
    ]


def test_examples_are_the_most_extreme(model: Checkpoint) -> None:
    assert examples(model.rollouts(), "best", 1)["reward"].to_list() == [1.2]
    assert examples(model.rollouts(), "worst", 2)["reward"].to_list() == [0.1, 0.1]
    assert examples(model.rollouts(), "longest", 3)["sample_index"].to_list() == [3, 3, 3]
    unearned = examples(model.rollouts(), "unearned", 3)
    assert unearned["outcome"].unique().to_list() == ["wrong"]
    assert unearned["reward"].to_list() == [0.2, 0.2, 0.1]


def test_a_models_card_says_how_many_rollouts_from_where_and_how_to_read_them(
    home: Path, model: Checkpoint, tmp_path: Path
) -> None:
    names = export(Library.of(home), model, tmp_path / "out")
    assert "rollouts-00000.parquet" in names
    card = ModelCard.load(tmp_path / "out" / "README.md").text
    assert "reinforced with 16 rollouts, which are in `rollouts-*.parquet`:" in card
    assert "Their mean reward is 0.775." in card  # ten of 16 right, and half of the weight of format 0.1, half 0.2
    assert "| sums/train.jsonl | MIT | math | 4 | 16 | 0.775 |" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert "shape: (2, 2)" in shown.stdout


def test_rollouts_are_exported_as_a_data_set_of_their_own(home: Path, model: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = export_rollouts(Library.of(home), model, out)
    assert names == ["README.md", "croissant.json", "data/rollouts-00000.parquet", "manifest.json"]
    assert pl.read_parquet(out / "data" / "*.parquet").equals(model.rollouts().collect())
    card = DatasetCard.load(out / "README.md")
    assert (card.data.to_dict()["license"], card.data.to_dict()["language"]) == (["mit"], ["en"])
    assert "| sums/train.jsonl | MIT | math | 4 | 16 | 0.775 |" in card.text
    described = json.loads((out / "croissant.json").read_text())
    fields = {field["name"]: field for field in described["recordSet"][0]["field"]}
    assert fields.keys() == set(model.rollouts().collect_schema())
    assert (fields["token_ids"]["dataType"], fields["token_ids"]["repeated"]) == ("sc:Integer", True)
    base = Library.of(home).find("base")
    with pytest.raises(ArtifactError, match="base holds no rollouts"):
        export_rollouts(Library.of(home), base, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_run_in_progress_is_followed_until_it_ends(model: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "scratch" / "f" / "rollouts"
    folder.mkdir(parents=True)
    (folder / "asset").write_text("r1_zero", encoding="utf-8")
    model.rollouts().filter(pl.col("step") == 2).collect().write_parquet(folder / "00000002.00000.parquet")
    lines = follow(tmp_path, "r1_zero")
    assert next(lines).startswith("step 2  8 rollouts  6.5 tokens  flat 50%")
    shutil.rmtree(folder)
    assert list(lines) == []
    with pytest.raises(ArtifactError, match="r1_zero is not being reinforced"):
        next(follow(tmp_path, "r1_zero"))
