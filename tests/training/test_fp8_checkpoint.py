"""A checkpoint in FP8 with scales for blocks is imported as what its numbers and scales say."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.errors import RequirementError
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.fp8_checkpoint import dequantized, is_fp8
from r1_pipeline.training.import_pretrained import ImportRecipe, LocalModel, digest_of, import_base
from r1_pipeline.training.model_shape import shape_in
from tests.training.conftest import make_model

BLOCK = [16, 16]


def in_fp8(directory: Path) -> dict[str, torch.Tensor]:
    """Turns the projections of a checkpoint into FP8, in two files with scales in the other; returns what it says."""
    held = load_file(directory / "model.safetensors")
    parts: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]] = {}, {}
    meant = {}
    for name, tensor in held.items():
        if not name.endswith("_proj.weight") and "kv_a_proj" not in name:
            parts[0][name] = meant[name] = tensor.to(torch.bfloat16)
            continue
        counts = [-(-size // block) for size, block in zip(tensor.shape, BLOCK, strict=True)]
        scales = torch.rand(counts) * 0.01 + 0.001
        wide = scales.repeat_interleave(16, 0)[: tensor.shape[0]].repeat_interleave(16, 1)[:, : tensor.shape[1]]
        small = (tensor.float() / wide).to(torch.float8_e4m3fn)
        parts[0][name], parts[1][name + "_scale_inv"] = small, scales
        meant[name] = (small.float() * wide).to(torch.bfloat16)
    (directory / "model.safetensors").unlink()
    for number, part in enumerate(parts, start=1):
        save_file(part, directory / f"model-0000{number}-of-00002.safetensors", {"format": "pt"})
    places = {name: f"model-0000{n}-of-00002.safetensors" for n, part in enumerate(parts, start=1) for name in part}
    index = {"metadata": {}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    quantized(directory, {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": BLOCK})
    return meant


def quantized(directory: Path, how: dict[str, object]) -> None:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "quantization_config": how})
    (directory / "config.json").write_text(text, encoding="utf-8")


def recipe_of(directory: Path) -> tuple[ImportRecipe, Runtime]:
    source = LocalModel(digest=digest_of(directory))
    recipe = ImportRecipe(
        source=source, shape=shape_in(directory), layers=None, architecture="deepseek_v3", dtype="bfloat16"
    )
    return recipe, Runtime(models={source.digest: str(directory)})


def test_a_number_is_multiplied_by_the_scale_of_its_block_and_edges_have_blocks_of_their_own() -> None:
    weight = torch.ones(3, 5).to(torch.float8_e4m3fn)
    scales = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    assert dequantized(weight, scales, [2, 2]).tolist() == [
        [1, 1, 2, 2, 4],
        [1, 1, 2, 2, 4],
        [8, 8, 16, 16, 32],
    ]


def test_deepseek_v3_in_fp8_becomes_a_model_that_can_be_trained(tmp_path: Path) -> None:
    """Its compressed keys have 8 + 4 rows and more, which no block of 16 divides."""
    published = make_model(tmp_path / "published")
    meant = in_fp8(published)
    assert any(tensor.shape[0] % 16 for name, tensor in meant.items() if "kv_a_proj" in name)
    recipe, runtime = recipe_of(published)
    draft = bare_draft(tmp_path / "draft")
    import_base(recipe, runtime, draft)
    assert "quantization_config" not in json.loads((draft.path / "config.json").read_text(encoding="utf-8"))
    made = {name: tensor for file in draft.path.glob("*.safetensors") for name, tensor in load_file(file).items()}
    assert made.keys() == meant.keys()
    assert all(torch.equal(made[name], meant[name]) for name in made)
    model = AutoModelForCausalLM.from_pretrained(draft.path, dtype="float32")
    tokens = torch.arange(6).unsqueeze(0)
    model(input_ids=tokens, labels=tokens).loss.backward()
    assert all(tensor.grad is not None for name, tensor in model.named_parameters() if "o_proj" in name)


def test_a_scale_that_is_missing_and_another_quantization_are_refused_in_one_line(tmp_path: Path) -> None:
    published = make_model(tmp_path / "published")
    in_fp8(published)
    other = published / "model-00002-of-00002.safetensors"
    scales = load_file(other)
    lost = sorted(scales)[0]
    save_file({name: tensor for name, tensor in scales.items() if name != lost}, other, {"format": "pt"})
    recipe, runtime = recipe_of(published)
    with pytest.raises(RequirementError, match=rf"in FP8 without {lost}; fetch the whole checkpoint$"):
        import_base(recipe, runtime, bare_draft(tmp_path / "draft"))
    quantized(published, {"quant_method": "awq"})
    with pytest.raises(RequirementError, match="is quantized as 'awq', which cannot be trained; name the model in"):
        is_fp8(published)
