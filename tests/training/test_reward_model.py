"""Reward models prefer what they were shown, whatever else is in the batch."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.reward_model import RewardModelScorer, pairwise_accuracy, train_reward_model


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    draft = bare_draft(tmp_path_factory.mktemp("rm"))
    recipe = runs.REWARD_MODEL.model_copy(update={"epochs": 8})
    train_reward_model(tiny, runs.pairs(12), recipe, runs.RUNTIME, draft)
    return draft.path


def test_it_learns_a_plain_preference_also_for_prompts_never_seen(trained: Path) -> None:
    assert pairwise_accuracy(RewardModelScorer(trained, runs.RUNTIME), runs.pairs(40)) == 1.0


def test_a_score_does_not_depend_on_its_batch(trained: Path) -> None:
    prompts, replies = ["1?", "a much longer prompt than the others", "2?"], ["yes", "no", "yes and no and yes"]
    together = RewardModelScorer(trained, runs.RUNTIME).score(prompts, replies)
    alone = RewardModelScorer(trained, Runtime(threads=1, generation_batch=1)).score(prompts, replies)
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(set(together)) == 3


def test_a_tie_is_not_a_win() -> None:
    class Lengths:
        def score(self, prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
            return [float(len(reply)) for reply in replies]

    first, second, third, fourth = runs.pairs(4)
    pairs = [first, second, third, fourth.model_copy(update={"rejected": fourth.chosen})]
    assert pairwise_accuracy(Lengths(), pairs) == 0.75
