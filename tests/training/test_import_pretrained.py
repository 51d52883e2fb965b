"""An existing model becomes a base with the same function, our templates and the expected shape, or is refused."""

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.data.templates import CHAT_TEMPLATE
from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.import_pretrained import (
    ImportRecipe,
    LocalModel,
    config_of,
    digest_of,
    import_base,
    require_model,
)
from r1_pipeline.training.model_shape import shape_in


@pytest.fixture(scope="module")
def llama(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a model of four layers, 32 wide, with the tokenizer of the tiny model."""
    directory = tmp_path_factory.mktemp("llama")
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=2, bos_token_id=1, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def whole(directory: Path) -> ImportRecipe:
    source = LocalModel(digest=digest_of(directory))
    return ImportRecipe(source=source, shape=shape_in(directory), layers=None, architecture="llama", dtype="float32")


def adopt(recipe: ImportRecipe, llama: Path, into: Path) -> Path:
    draft = bare_draft(into)
    import_base(recipe, Runtime(models={digest_of(llama): str(llama)}), draft)
    return draft.path


def logits(directory: Path) -> torch.Tensor:
    with torch.inference_mode():
        out: torch.Tensor = AutoModelForCausalLM.from_pretrained(directory)(torch.arange(3, 20).view(1, -1)).logits
    return out


def test_an_adopted_model_computes_what_it_did_and_speaks_our_template(llama: Path, tmp_path: Path) -> None:
    base = adopt(whole(llama), llama, tmp_path)
    assert torch.equal(logits(base), logits(llama))
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer.eos_token_id == 2


def test_as_qwen2_a_cut_llama_computes_the_same(llama: Path, tmp_path: Path) -> None:
    cut = whole(llama).shape.model_copy(update={"layers": 2, "dense_layers": 2})
    as_llama = whole(llama).model_copy(update={"shape": cut, "layers": (0, 2)})
    with_bias = cut.model_copy(update={"bias": True})
    as_qwen = as_llama.model_copy(update={"shape": with_bias, "architecture": "qwen2"})
    first, second = adopt(as_llama, llama, tmp_path / "llama"), adopt(as_qwen, llama, tmp_path / "qwen")
    assert json.loads((second / "config.json").read_text())["model_type"] == "qwen2"
    assert torch.equal(logits(first), logits(second))
    assert not torch.equal(logits(first), logits(llama))


def test_a_model_of_another_shape_is_refused(llama: Path, tmp_path: Path) -> None:
    wider = whole(llama).shape.model_copy(update={"width": 64})
    with pytest.raises(RecipeError, match="the recipe expects width=64"):
        adopt(whole(llama).model_copy(update={"shape": wider}), llama, tmp_path)


def test_a_directory_that_nobody_named_is_refused() -> None:
    with pytest.raises(RequirementError, match="no directory is known for the model abc"):
        require_model(LocalModel(digest="abc"), Runtime())


def test_a_gguf_file_is_known_by_its_bytes_and_refused_without_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"abc")
    assert digest_of(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert require_model(LocalModel(digest="it"), Runtime(models={"it": str(file)})) == file

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("r1_pipeline.training.import_pretrained.metadata.version", absent)
    with pytest.raises(RequirementError, match="needs the package gguf: pip install 'r1-pipeline"):
        config_of(file)


def test_a_file_that_is_no_whole_gguf_file_is_refused_in_one_line(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="the reader of GGUF files is not installed")
    file = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_tensor("token_embd.weight", np.zeros((64, 32), np.float32))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    half = file.read_bytes()[: file.stat().st_size // 2]
    for content in (b"abc\n", b"GGUF" + (3).to_bytes(4, "little") + (7).to_bytes(8, "little"), half):
        file.write_bytes(content)
        with pytest.raises(RequirementError, match=r"model\.gguf is no whole GGUF file") as refused:
            config_of(file)
        assert len(str(refused.value).splitlines()) == 1
