"""A reply ends at every end token that a model's generation settings name, with each engine and in rollouts."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from faulty_server import Script, serving
from own_template import CONTROL, make_qwen

from r1_pipeline.engines import OpenAi
from r1_pipeline.generation.engine import request_for, requests_for
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.generation.openai import OpenAiEngine, served_name
from r1_pipeline.generation.tokens import end_tokens, ends_identity, load_tokenizer
from r1_pipeline.generation.vllm import VllmEngine
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Problem, Sampling
from r1_pipeline.settings.engines import OpenAiSettings

TURN, END = CONTROL.index("<|im_start|>"), CONTROL.index("<|im_end|>")
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=40)


def with_ends(directory: Path, *ends: int) -> Path:
    """Writes the tiny Qwen with these end tokens in its generation settings."""
    make_qwen(directory)
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": list(ends)}), encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_ends(tmp_path_factory.mktemp("two"), TURN, END)


def sampled(model: Path) -> list[Completion]:
    asked = Problem(
        id="sum", question="2+2=?", answer="4", tests=(), domain="math", language="en", source="s", licence="MIT"
    )
    requests = requests_for([asked], "own_chat", samples=32, run_seed=0)
    return HfEngine(model, Runtime(threads=1, generation_batch=5)).generate(requests, SAMPLING)


def test_the_tokenizers_end_token_is_first_and_all_others_follow_once(one: Path, two: Path) -> None:
    assert end_tokens(one, load_tokenizer(one)) == (END,)
    assert end_tokens(two, load_tokenizer(two)) == (END, TURN)
    assert ends_identity(one) == {}
    assert ends_identity(two) == {"ends": "generation-config@1"}


def test_a_reply_is_the_one_of_a_single_end_token_up_to_the_first_of_two(one: Path, two: Path) -> None:
    """Both models have the same weights and every sample its own random numbers."""
    earlier = 0
    for whole, part in zip(sampled(one), sampled(two), strict=True):
        first = whole.token_ids.index(TURN) + 1 if TURN in whole.token_ids else len(whole.token_ids)
        earlier += first < len(whole.token_ids)
        assert part.token_ids == whole.token_ids[:first]
        assert part.finish_reason == ("stop" if part.token_ids[-1] in (TURN, END) else "length")
        assert part.text == load_tokenizer(two).decode(part.token_ids, skip_special_tokens=True)
    assert earlier > 0


def test_vllm_stops_at_all_of_them_and_reads_each_as_the_end(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments and the output are plain values, so that a stand-in for vLLM's classes is enough."""
    vllm, parameters = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    vllm.SamplingParams = lambda **given: given  # type: ignore[attr-defined]
    parameters.RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    engine = VllmEngine.__new__(VllmEngine)
    engine.identity, engine._tokenizer = "vllm-x/float32", load_tokenizer(two)
    engine._ends = end_tokens(two, engine._tokenizer)
    asked = request_for("own_chat", "2+2=?", "p", 0, 7)
    given: Any = engine._params(asked, SAMPLING)
    assert given["stop_token_ids"] == [END, TURN]
    ids = [*engine._tokenizer("4")["input_ids"], TURN]
    reply = SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=SimpleNamespace(logprobs=[-0.5] * len(ids)))
    said = engine._completion(asked, "", SimpleNamespace(outputs=[reply]), ())  # type: ignore[arg-type]
    assert (said.text, said.finish_reason, said.token_ids) == ("4", "stop", tuple(ids))


@pytest.mark.parametrize(("name", "sent"), [("one", None), ("two", [END, TURN])])
def test_a_server_is_sent_them_where_there_are_several(
    name: str, sent: list[int] | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    script, model = Script(), request.getfixturevalue(name)
    with serving(script) as url:
        settings = OpenAiSettings(
            base_url=url, key_variable=None, concurrency=1, timeout_s=60.0, attempts=1,
            usd_per_million_prompt_tokens=0.0, usd_per_million_completion_tokens=0.0,
        )  # fmt: skip
        engine = OpenAiEngine(
            OpenAi(runs="echo-1/none"), settings, served_name("ab" * 32), model, tmp_path / "a.sqlite"
        )
        engine.generate([request_for("own_chat", "2+2=?", "p", 0, 7)], SAMPLING)
    assert script.asked[0].get("stop_token_ids") == sent
