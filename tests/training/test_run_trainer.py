"""All trainers share these laws: warm-up never takes a whole run, and a model that did not change is an error."""

from pathlib import Path

import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.errors import GuardTrippedError
from r1_pipeline.training.grpo import train_grpo
from r1_pipeline.training.reward_model import train_reward_model
from r1_pipeline.training.run_trainer import changed, warm_up
from r1_pipeline.training.sft import train_sft

ONE_STEP = runs.SFT.model_copy(update={"epochs": 1, "batch": 12, "warmup_steps": 2})


class Notes(Observer):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def noted(self, name: str, message: str) -> None:
        self.messages.append(message)


@pytest.mark.parametrize(
    ("wanted", "total", "steps"), [(2, 1, 0), (2, 2, 1), (2, 3, 1), (2, 4, 2), (5, 100, 5), (0, 1, 0)]
)
def test_at_most_half_of_a_run_is_warm_up(wanted: int, total: int, steps: int) -> None:
    assert warm_up(wanted, total) == steps


def test_a_run_of_one_step_learns_whatever_its_warm_up(tiny: Path, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    train_sft(tiny, [runs.ROWS], ONE_STEP, runs.RUNTIME, draft)
    assert [row["learning_rate"] for row in read_metrics(draft.metrics)] == [ONE_STEP.learning_rate]
    assert changed(tiny, draft.path)
    assert not changed(tiny, tiny)


def test_a_finetuned_model_that_equals_its_base_is_an_error(tiny: Path, tmp_path: Path) -> None:
    still = {"learning_rate": 1e-50, "final_learning_rate": 1e-51}
    with pytest.raises(GuardTrippedError, match="no weight has changed in training; raise the learning rate"):
        train_sft(tiny, [runs.ROWS], ONE_STEP.model_copy(update=still), runs.RUNTIME, bare_draft(tmp_path / "sft"))
    recipe = runs.REWARD_MODEL.model_copy(update={"learning_rate": 1e-50})
    with pytest.raises(GuardTrippedError, match="no weight has changed"):
        train_reward_model(tiny, runs.pairs(8), recipe, runs.RUNTIME, bare_draft(tmp_path / "judge"))


def test_a_policy_that_learns_nothing_says_so(tiny: Path, tmp_path: Path) -> None:
    recipe = runs.GRPO.model_copy(
        update={"steps": 2, "beta": 0.0, "reference_sync_steps": None, "guards": runs.Guards()}
    )
    draft = bare_draft(tmp_path)
    draft.observer = notes = Notes()
    parts = {"accuracy": lambda problems, said, log: [1.0] * len(said)}
    train_grpo(tiny, runs.problems(recipe.problems), "zero", parts, {"accuracy": 1.0}, recipe, runs.RUNTIME, draft)
    assert not changed(tiny, draft.path)
    [message] = notes.messages
    assert message.startswith("no weight has changed in training: in every group all replies were rewarded alike")
