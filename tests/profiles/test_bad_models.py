"""A base that cannot be used is refused before any training, in one line that says what to do."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BloomConfig, BloomForCausalLM, MambaConfig, MambaForCausalLM

from r1_pipeline.engines import Transformers
from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.graph.bound import changed
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.extended import with_prompt_forms
from r1_pipeline.profiles.pretrained import with_base
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.model_check import require_whole
from r1_pipeline.verbs import ReinforceRecipe
from tests.generation.own_template import CHATML
from tests.generation.own_template import make_qwen as small_qwen

SIZES: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1}


def make_qwen(directory: Path, chat_template: str | None = CHATML, end: str | None = "<|im_end|>") -> Path:
    """Writes a tiny Qwen with a context that holds all prompt forms and replies."""
    return edited(small_qwen(directory, chat_template, end), "config.json", max_position_embeddings=2048)


def edited(directory: Path, name: str, **fields: Any) -> Path:
    """Changes some fields of a JSON file of the model."""
    file = directory / name
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **fields}), encoding="utf-8")
    return directory


def cut_off(directory: Path) -> Path:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return directory


def without(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).unlink()
    return directory


def in_parts(directory: Path) -> Path:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return directory


def of_kind(directory: Path, model: torch.nn.Module) -> Path:
    make_qwen(directory)
    model.save_pretrained(directory)  # type: ignore[operator]
    return directory


def bert(directory: Path) -> Path:
    return of_kind(directory, BertForMaskedLM(BertConfig(**SIZES, num_attention_heads=2, intermediate_size=64)))


def bloom(directory: Path) -> Path:
    return of_kind(directory, BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=2)))


def mamba(directory: Path) -> Path:
    return of_kind(directory, MambaForCausalLM(MambaConfig(**SIZES, state_size=4)))


FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no configuration": (lambda d: without(make_qwen(d), "config.json"), "holds no model: its config.json cannot be"),
    "an unknown kind": (
        lambda d: edited(make_qwen(d), "config.json", model_type="qwen99"),
        "has no causal language model 'qwen99'; take a base that it has",
    ),
    "an encoder": (bert, "a 'bert' reads its text in both directions and cannot continue it; take a causal model"),
    "a state-space model": (mamba, "a 'mamba' is no transformer of one kind of layer"),
    "no limit of positions": (bloom, "a 'bloom' is no transformer of one kind of layer: .*; take a dense transformer"),
    "no weights": (lambda d: without(make_qwen(d), "model.safetensors"), "no weights in safetensors; fetch the model"),
    "weights cut off": (lambda d: cut_off(make_qwen(d)), r"model\.safetensors is no whole safetensors file .*fetch it"),
    "a part missing": (
        lambda d: in_parts(make_qwen(d)),
        r"lacks model-00002-of-00002\.safetensors, which its index names; fetch the model again",
    ),
    "no tokenizer": (
        lambda d: without(make_qwen(d), "tokenizer.json", "tokenizer_config.json"),
        "has no tokenizer; fetch the model again, with tokenizer.json",
    ),
    "no end token": (lambda d: make_qwen(d, end=None), r"names an end token, so no reply could end; set eos_token_id"),
    "a short context": (
        lambda d: edited(make_qwen(d), "config.json", max_position_embeddings=1200),
        "the prompt form 'zero_opened' takes .* the context of base, .* is 1200; take a shorter form, a shorter reply",
    ),
}
"""Fault -> the function that writes a model with it, and the message."""


def on_cpu(directory: Path | str) -> Profile:
    """Returns `small` with this base, without its students, its GPU and its vLLM."""
    profile = with_base(load_profile("small", 0), str(directory)).with_engine(Transformers())
    students = dict.fromkeys(profile.recipes["student_base"], profile.recipes["base"])
    reinforced = {
        name: changed(recipe, "grpo.rollouts", Transformers())
        for name, recipe in profile.recipes.items()
        if isinstance(recipe, ReinforceRecipe)
    }
    runtime = profile.runtime.model_copy(update={"device": "cpu"})
    return replace(profile.with_recipes({"student_base": students, **reinforced}), runtime=runtime)


def refusal(make: Callable[[], Profile]) -> str:
    """Returns the message, after asserting that it is one line."""
    with pytest.raises((RecipeError, RequirementError)) as refused:
        make().require()
    said = str(refused.value)
    assert len(said.splitlines()) == 1, said
    return said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_with_a_fault_is_refused_in_one_line(fault: str, tmp_path: Path) -> None:
    write, message = FAULTS[fault]
    directory = write(tmp_path / "model")
    assert re.search(message, refusal(lambda: on_cpu(directory)))


def test_a_sound_model_is_taken_with_and_without_its_own_chat_template(tmp_path: Path) -> None:
    profile = on_cpu(make_qwen(tmp_path, CHATML))
    roomy = with_prompt_forms(profile, "own_boxed", "own_chat", ())
    for each in (profile, roomy):
        each.require()


def test_a_form_of_its_own_is_refused_for_a_model_without_a_chat_template(tmp_path: Path) -> None:
    profile = with_prompt_forms(on_cpu(make_qwen(tmp_path, None)), "own_boxed", "own_chat", ())
    assert 'has no chat template; import it with chat_template="ours"' in refusal(lambda: profile)


def test_modules_of_lora_that_match_nothing_are_named_with_those_that_there_are(tmp_path: Path) -> None:
    profile = on_cpu(make_qwen(tmp_path))
    tuned = profile.recipes["dev1"].model_copy(update={"lora": Lora(rank=2, alpha=4.0, modules=("c_attn",))})
    said = refusal(lambda: profile.with_recipes({"dev1": tuned}))
    assert said.startswith("dev1: LoRA is to adapt c_attn and the model has only down_proj, gate_proj, ")


def test_a_missing_model_of_the_hub_is_refused_with_the_command_that_fetches_it_also_where_it_is_gated() -> None:
    said = refusal(lambda: on_cpu("nobody/nothing@" + "0" * 40))
    assert f"hf download nobody/nothing --revision {'0' * 40} (a gated model: accept its licence on its page" in said


def test_a_gguf_file_that_is_cut_off_behind_its_header_is_refused(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="the reader of GGUF files is not installed")
    file = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    for name, number in (("block_count", 1), ("context_length", 512), ("embedding_length", 32), ("vocab_size", 64)):
        getattr(writer, f"add_{name}")(number)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_tensor("token_embd.weight", np.zeros((64, 32), dtype=np.float32))
    for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
        getattr(writer, step)()
    require_whole(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RequirementError, match=r"model\.gguf is no whole GGUF file .*; fetch it again"):
        require_whole(file)
