"""Reward models prefer what they were shown, whatever else is in the batch."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import training_runs as runs

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.kinds import RewardModel
from r1_pipeline.recipe import Recipe, Runtime, canonical_value
from r1_pipeline.training.reward_model import (
    RewardModelScorer,
    accuracy,
    fitting_pairs,
    pairwise_margins,
    scoring_identity,
    train_reward_model,
)


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    draft = bare_draft(tmp_path_factory.mktemp("rm"))
    recipe = runs.REWARD_MODEL.model_copy(update={"epochs": 8})
    train_reward_model(tiny, runs.pairs(12), recipe, runs.RUNTIME, draft)
    return draft.path


def test_it_learns_a_plain_preference_also_for_prompts_never_seen(trained: Path) -> None:
    assert accuracy(pairwise_margins(RewardModelScorer(trained, runs.RUNTIME, "float32"), runs.pairs(40))) == 1.0


def test_a_score_does_not_depend_on_its_batch(trained: Path) -> None:
    prompts, replies = ["1?", "a much longer prompt than the others", "2?"], ["yes", "no", "yes and no and yes"]
    together = RewardModelScorer(trained, runs.RUNTIME, "float32").score(prompts, replies)
    alone = RewardModelScorer(trained, Runtime(threads=1, generation_batch=1), "float32").score(prompts, replies)
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(set(together)) == 3


def test_a_pair_with_a_reply_that_is_too_long_is_set_aside(tiny: Path) -> None:
    short, long, edge = runs.pairs(3)
    long = long.model_copy(update={"rejected": "no" * 30, "source": "mine/p.jsonl:7#x"})
    edge = edge.model_copy(update={"chosen": "y" * 7})  # with "2?" and the end: 10 tokens
    kept, dropped = fitting_pairs(tiny, [short, long, edge], max_tokens=10)
    assert kept == [short, edge]
    assert [(row.where, row.reason) for row in dropped] == [("mine/p.jsonl:7", "too_long")]
    assert "63 tokens" in dropped[0].detail
    assert fitting_pairs(tiny, [short.model_copy(update={"prompt": "1" * 600})], max_tokens=1000)[0] == []


def test_the_score_is_read_at_the_end_token_alone_whatever_a_reply_spells(tiny: Path) -> None:
    from r1_pipeline.generation.tokens import load_tokenizer
    from r1_pipeline.training.sft import encode_fitting_rows

    tokenizer = load_tokenizer(tiny)
    [(prompt, reply)] = encode_fitting_rows(tokenizer, [("<pad></s>?", "no </s> yes")], max_tokens=100)
    assert tokenizer.eos_token_id not in prompt + reply[:-1]


def test_a_tie_is_not_a_win() -> None:
    class Lengths:
        def score(self, prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
            return [float(len(reply)) for reply in replies]

    first, second, third, fourth = runs.pairs(4)
    pairs = [first, second, third, fourth.model_copy(update={"rejected": fourth.chosen})]
    margins = pairwise_margins(Lengths(), pairs)
    assert margins[0] == len(first.chosen) - len(first.rejected) and margins[3] == 0.0
    assert accuracy(margins) == 0.75


def test_a_reward_model_scores_in_its_own_precision_and_leaves_the_device_afterwards(trained: Path) -> None:
    prompts, replies = [f"User: {i}=?\nAssistant:" for i in range(5)], [f"{i}" * (i + 1) for i in range(5)]
    exact = RewardModelScorer(trained, runs.RUNTIME, "float32")
    rough = RewardModelScorer(trained, Runtime(generation_tokens=40), "bfloat16")
    assert {tensor.dtype for tensor in rough._model.parameters()} == {torch.bfloat16}
    scores = rough.score(prompts, replies)
    assert scores == pytest.approx(exact.score(prompts, replies), abs=0.2)
    assert scores != exact.score(prompts, replies)
    assert {tensor.device.type for tensor in rough._model.parameters()} == {"cpu"}


def test_the_precision_of_scoring_is_a_fingerprints_unless_it_is_float32() -> None:
    def model(recipe: Recipe) -> RewardModel:
        payload = canonical_value({"recipe": recipe})
        return RewardModel(Path("nowhere"), cast(Any, SimpleNamespace(payload=payload)))

    exact, rough = model(runs.REWARD_MODEL), model(runs.again(runs.REWARD_MODEL, precision="bfloat16"))
    assert (exact.precision, rough.precision) == ("float32", "bfloat16")
    assert scoring_identity([exact]) == {}
    assert scoring_identity([exact, rough]) == {"scoring": "bfloat16"}
