"""A small random model of every architecture that is claimed is imported, planned, finetuned and reinforced."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import training_runs as runs
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from r1_pipeline import verbs
from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.store import Store
from r1_pipeline.planning.plan import plan
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.pretrained import with_base
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.launchers import Inline
from r1_pipeline.training.lora import adapter_arguments
from r1_pipeline.training.model_shape import shape_in
from r1_pipeline.training.model_stats import model_statistics
from r1_pipeline.training.run_trainer import changed

KINDS: dict[str, dict[str, Any]] = {
    "gemma3_text": {"head_dim": 16, "sliding_window": 16, "query_pre_attn_scalar": 16},
    "mistral": {"head_dim": 16, "sliding_window": 16},
    "olmo2": {},
    "phi3": {},
    "qwen3": {"head_dim": 16},
    "smollm3": {},
    "granite": {},
}
"""Architecture -> further fields of its configuration. Granite is one whose parameters are counted on a meta model."""
SFT = runs.SFT.model_copy(update={"epochs": 1, "batch": 6, "learning_rate": 1e-3, "final_learning_rate": 1e-4})
GRPO = runs.GRPO.model_copy(
    update={"steps": 2, "steps_per_generation": 1, "learning_rate": 1e-3, "reference_sync_steps": None}
)


def published(kind: str, tiny: Path, directory: Path) -> Path:
    """Writes a random model of two layers with the tokenizer of the tiny model."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 512}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(kind, **sizes, **heads, **tokens, **KINDS[kind])
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def imported(directory: Path, home: Path) -> Checkpoint:
    """The base of the profile `small` when it is given this directory."""
    profile = with_base(load_profile("small", 0), str(directory))
    planned = plan(profile, None, compare=False).stages
    stored = sum(tensor.numel() for tensor in AutoModelForCausalLM.from_pretrained(directory).parameters())
    assert planned["r1_zero"].parameters == planned["dev1"].parameters == shape_in(directory).parameters == stored
    recipe = profile.recipes["base"].model_copy(update={"dtype": "float32"})
    runtime = profile.runtime.model_copy(update={"device": "cpu", "launcher": Inline()})
    return verbs.pretrain(BuildContext(Store(home), runtime, "base"), recipe)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_imported_planned_finetuned_and_reinforced(kind: str, tiny: Path, tmp_path: Path) -> None:
    base = imported(published(kind, tiny, tmp_path / "published"), tmp_path / "home")
    tuned, reinforced = bare_draft(tmp_path / "tuned"), bare_draft(tmp_path / "reinforced")
    runs.run_sft(base.path, tuned, SFT)
    runs.run_grpo(tuned.path, reinforced, GRPO)
    for before, draft in ((base.path, tuned), (tuned.path, reinforced)):
        steps = read_metrics(draft.metrics)
        assert [row["step"] for row in steps] == [1, 2]
        assert all(row["grad_norm"] > 0 for row in steps)
        assert changed(before, draft.path)
        assert json.loads((draft.path / "config.json").read_text())["model_type"] == kind
        assert model_statistics(draft, "chat").statistics["parameters"] == base.statistics["parameters"]


@runs.needs_peft
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_have_the_parameters_that_the_plan_counts(kind: str, tiny: Path, tmp_path: Path) -> None:
    from peft import get_peft_model

    directory = published(kind, tiny, tmp_path)
    config = adapter_arguments(runs.LORA, directory, "CAUSAL_LM", runs.RUNTIME)["peft_config"]
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(directory), config)
    assert adapted.get_nb_trainable_parameters()[0] == runs.LORA.trainable(shape_in(directory).linears)
