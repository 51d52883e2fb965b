"""Footholds for weak bases: weights that move with the steps, and a warm-up on the prompt form alone."""

from pathlib import Path

import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.rewards.format_check import is_well_formed
from r1_pipeline.rewards.rubric import Annealed, Rubric, part_functions
from r1_pipeline.rewards.verifier import Grader
from r1_pipeline.training.form_warm_up import WarmUpRecipe, form_rows
from r1_pipeline.training.grpo import train_grpo
from r1_pipeline.training.sft import train_sft


def test_each_rollout_is_rewarded_by_the_weights_of_its_first_step(tiny: Path, tmp_path: Path) -> None:
    """Two steps a rollout, six steps: the weight of `tags` is 1.0, 0.5 and 0.0 at steps 0, 2 and 4."""
    rubric = Rubric(
        accuracy=0.0, format=0.0, language=0.0, preference=0.0, tags=1.0,
        annealed=(Annealed(part="tags", to=0.0, begin=0, end=4),),
    )  # fmt: skip
    draft = bare_draft(tmp_path)
    problems = runs.problems(runs.GRPO.problems)
    train_grpo(tiny, problems, "chat", {"tags": runs.digits}, rubric, runs.GRPO, runs.RUNTIME, draft)
    rows = read_metrics(draft.metrics)
    assert [row["weight/tags"] for row in rows] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0, 0.0])
    rewarded = [(row["reward"], row["reward/tags"]) for row in rows if "reward" in row]
    assert len(rewarded) == 3
    assert all(part > 0 for _, part in rewarded)
    assert [reward for reward, _ in rewarded] == pytest.approx(
        [weight * part for weight, (_, part) in zip((1.0, 0.5, 0.0), rewarded, strict=True)]
    )


def flat_groups(base: Path, directory: Path, rubric: Rubric) -> float:
    """Returns the share of groups without a gradient in 8 steps from a base that never writes the form."""
    recipe = runs.GRPO.model_copy(
        update={
            **{"steps": 8, "save_steps": 8, "steps_per_generation": 1, "reference_sync_steps": None, "beta": 0.0},
            **{"prompts_per_step": 4, "group_size": 8, "max_completion_tokens": 48, "learning_rate": 5e-3},
        }
    )
    draft = bare_draft(directory)
    parts = part_functions(rubric, Grader({}), "chat", {})
    train_grpo(base, runs.problems(recipe.problems), "chat", parts, rubric, recipe, runs.RUNTIME, draft)
    rows = [row["flat_groups"] for row in read_metrics(draft.metrics)]
    return sum(rows) / len(rows)


def test_a_graded_format_has_a_gradient_where_the_strict_one_has_none(tiny: Path, tmp_path: Path) -> None:
    strict = Rubric(accuracy=0.0, format=0.2, language=0.0, preference=0.0)
    graded = strict.model_copy(update={"others": (("graded_format", 0.2),)})
    assert flat_groups(tiny, tmp_path / "strict", strict) == 1.0
    assert flat_groups(tiny, tmp_path / "graded", graded) < 0.9


@pytest.mark.parametrize("template", ["zero", "chat", "boxed", "own_zero", "own_brief", "own_chat", "own_boxed"])
def test_rows_of_a_warm_up_are_well_formed_and_say_a_number_back(template: str) -> None:
    rows = form_rows(template, 20, seed=3)
    assert rows == form_rows(template, 20, seed=3) != form_rows(template, 20, seed=4)
    for row in rows:
        assert is_well_formed(template, row.response)
        said = row.prompt.partition("Say ")[2].partition(".")[0]
        assert said.isdigit()
        assert row.response.count(said) == 2


def test_a_warm_up_teaches_the_form(tiny: Path, tmp_path: Path) -> None:
    recipe = WarmUpRecipe(**{**dict(runs.SFT), "template": "chat", "rows": 8, "epochs": 12, "save_steps": 24})
    draft = bare_draft(tmp_path)
    rows = form_rows(recipe.template, recipe.rows, recipe.seed)
    assert train_sft(tiny, [rows], recipe, runs.RUNTIME, draft) == {}
    losses = [row["loss"] for row in read_metrics(draft.metrics)]
    assert sum(losses[-3:]) < sum(losses[:3]) / 2
