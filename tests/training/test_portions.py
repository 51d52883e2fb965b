"""The trainer's own rollouts in portions: bounded, and each completion that of its prompt."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.grpo import train_grpo
from r1_pipeline.training.portions import in_portions
from tests.generation.own_template import make_qwen
from tests.training import training_runs as runs


def test_a_wave_holds_what_the_longest_reply_leaves_room_for_and_rows_stay_in_order() -> None:
    """Prompts of 3 tokens and replies of at most 7: 20 tokens are two rows. Rows reply with as many tokens as their
    number."""
    sizes = []

    def generate(generation_config: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        assert attention_mask.shape == input_ids.shape
        sizes.append(len(input_ids))
        reply = torch.full((len(input_ids), int(input_ids.max())), -1)
        for row, prompt in enumerate(input_ids[:, 0].tolist()):
            reply[row, :prompt] = prompt
        return torch.cat([input_ids, reply], dim=1)

    ids = torch.arange(1, 6).unsqueeze(1).expand(5, 3)
    portioned = in_portions(generate, Runtime(generation_tokens=20), limit=7)
    said = portioned(generation_config=SimpleNamespace(pad_token_id=-1), input_ids=ids, attention_mask=torch.ones(5, 3))
    assert sizes == [2, 2, 1]
    assert said.shape == (5, 8)
    assert [(row[3:] == number).sum().item() for number, row in enumerate(said, start=1)] == [1, 2, 3, 4, 5]
    assert [row[:3].tolist() for row in said] == ids.tolist()
    assert in_portions(generate, Runtime(), limit=7) is generate


def test_reinforcement_with_bounded_waves_trains_on_all_completions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GenerationMixin

    sizes = []
    generate = GenerationMixin.generate

    def noted(self: Any, **inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        return generate(self, **inputs)

    monkeypatch.setattr(GenerationMixin, "generate", noted)
    recipe, draft = runs.again(runs.GRPO, steps=2, save_steps=2, reference_sync_steps=None), bare_draft(tmp_path)
    runtime = Runtime(generation_tokens=200)
    train_grpo(
        make_qwen(tmp_path / "base"), runs.problems(recipe.problems), "own_chat", {"digits": runs.digits},
        {"digits": 1.0}, recipe, runtime, draft,
    )  # fmt: skip
    assert sum(sizes) == recipe.rollout == 16
    assert max(sizes) < 16
