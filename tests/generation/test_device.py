"""Consequences of the runtime: bounded batches, precision of the embedded engine, attention that is installed."""

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from r1_pipeline.engines import Transformers
from r1_pipeline.errors import RequirementError
from r1_pipeline.generation.device import batches, computes_bfloat16, load_options, prepare_torch
from r1_pipeline.generation.engine import requests_for
from r1_pipeline.generation.hf import HfEngine, engine_identity
from r1_pipeline.profiles import load_profile
from r1_pipeline.recipe import Runtime, canonical_json
from r1_pipeline.records import Sampling
from tests.generation.own_template import make_qwen
from tests.training.training_runs import problems


def cut(lengths: list[int], **settings: Any) -> list[list[int]]:
    return [lengths[part] for part in batches(lengths, Runtime(**settings))]


def test_a_batch_is_bounded_in_texts_and_in_padded_tokens() -> None:
    """A bound of 100 tokens: 3 x 30 = 90 fit, with a fourth of 40 it would be 4 x 40 = 160; 2 x 50 = 100 just fit."""
    assert cut([10, 20, 30, 40, 50, 60], generation_tokens=100) == [[10, 20, 30], [40, 50], [60]]
    assert cut([10, 20, 30, 40, 50, 60], generation_batch=4) == [[10, 20, 30, 40], [50, 60]]
    assert cut([300, 10, 200], generation_tokens=100) == [[300], [10], [200]]
    assert cut([], generation_tokens=100) == []


def test_memory_bounds_a_batch_where_the_runtime_does_not() -> None:
    lengths = [10, 20, 30, 40, 50, 60]
    assert [lengths[part] for part in batches(lengths, Runtime(), 100)] == [[10, 20, 30], [40, 50], [60]]
    assert [lengths[part] for part in batches(lengths, Runtime(generation_tokens=1000), 100)] == [lengths]


def test_bounded_batches_change_no_completion(tmp_path: Path) -> None:
    model = make_qwen(tmp_path)
    requests = requests_for(problems(6), "own_chat", 2, 0)
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=12)
    whole = HfEngine(model, Runtime()).generate(requests, sampling)
    bounded = HfEngine(model, Runtime(generation_tokens=60)).generate(requests, sampling)
    assert [each.token_ids for each in bounded] == [each.token_ids for each in whole]


def test_the_embedded_engine_has_the_precision_of_its_recipe_and_says_so(tmp_path: Path) -> None:
    if not computes_bfloat16():
        pytest.skip("this processor emulates bfloat16")
    spec = Transformers(dtype="bfloat16")
    engine = HfEngine(make_qwen(tmp_path), Runtime(), spec)
    assert {tensor.dtype for tensor in engine._model.parameters()} == {torch.bfloat16}
    assert engine.identity == engine_identity(spec) == f"transformers-{metadata.version('transformers')}/bfloat16"
    assert canonical_json(Transformers()) == '{"type":"transformers"}'
    assert canonical_json(spec) == '{"dtype":"bfloat16","type":"transformers"}'


def test_float32_products_run_in_tf32_on_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", chosen.append)
    for runtime in (Runtime(), Runtime(device="cuda:0"), Runtime(device="cuda", tf32=False)):
        prepare_torch(runtime)
    assert chosen == ["high", "highest"]


def test_flash_attention_that_is_missing_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(
        RequirementError, match=r"^flash_attention_2 needs the package flash-attn; .* or set .* to sdpa$"
    ):
        load_options(Runtime(device="cuda", attention="flash_attention_2"))
    with pytest.raises(RequirementError, match="needs a GPU, the device is cpu"):
        load_options(Runtime(attention="flash_attention_2"))
    assert load_options(Runtime(attention="sdpa"))["attn_implementation"] == "sdpa"


def test_several_gpus_without_a_launcher_for_them_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    smoke = load_profile("smoke", 0)
    inline = replace(
        smoke,
        runtime=smoke.runtime.model_copy(update={"device": "cuda"}),
        machine=smoke.machine.model_copy(update={"devices": 0}),
    )
    with pytest.raises(
        RequirementError, match=r"^2 GPUs are visible and the launcher inline trains on one; set CUDA_V"
    ):
        inline.require()
