"""Stop strings in engines that have them themselves: what they are asked, and what is made of their tokens."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from faulty_server import Script, serving
from own_template import make_qwen

from r1_pipeline.engines import OpenAi
from r1_pipeline.generation.engine import request_for
from r1_pipeline.generation.openai import OpenAiEngine, served_name
from r1_pipeline.generation.stopping import up_to_stop
from r1_pipeline.generation.tokens import encode, load_tokenizer
from r1_pipeline.generation.vllm import VllmEngine
from r1_pipeline.records import Sampling
from r1_pipeline.settings.engines import OpenAiSettings

STOPPED = Sampling(temperature=1.0, top_p=1.0, max_tokens=40, stop=("ab", "\nUser:"))
OWN = "<|im_start|>user\n2+2=?<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen(tmp_path_factory.mktemp("qwen"))


def test_tokens_are_cut_behind_the_one_that_completes_a_stop_string(qwen: Path) -> None:
    tokenizer = load_tokenizer(qwen)
    ids = tokenizer("2 and 2ab and more ab")["input_ids"]
    assert up_to_stop(tokenizer, ids, ("ab",)) == ids[:9]  # one token a character
    assert up_to_stop(tokenizer, ids, ("4", "b a")) == ids[:11]
    assert up_to_stop(tokenizer, ids, ("\nUser:",)) is None
    assert up_to_stop(tokenizer, ids, ()) is None


def test_vllm_is_asked_to_stop_in_text_and_its_tokens_are_cut_there(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The arguments and the output are plain values, so that a stand-in for vLLM's classes is enough."""
    vllm, parameters = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    vllm.SamplingParams = lambda **given: given  # type: ignore[attr-defined]
    parameters.RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    engine = VllmEngine.__new__(VllmEngine)
    engine.identity, engine._tokenizer = "vllm-x/float32", load_tokenizer(qwen)
    engine._ends = (2,)
    asked = request_for("own_chat_opened", "2+2=?", "p", 0, 7)
    given: Any = engine._params(asked, STOPPED)
    assert (given["stop"], given["include_stop_str_in_output"], given["detokenize"]) == (["ab", "\nUser:"], True, True)
    free: Any = engine._params(asked, STOPPED.model_copy(update={"stop": ()}))
    assert (free["stop"], free["detokenize"]) == ([], False)
    ids = engine._tokenizer("4ab, he wrote on")["input_ids"]
    reply = SimpleNamespace(token_ids=ids, finish_reason="length", logprobs=SimpleNamespace(logprobs=[-0.5] * len(ids)))
    said = engine._completion(asked, OWN + "<think>", SimpleNamespace(outputs=[reply]), STOPPED.stop)  # type: ignore[arg-type]
    assert (said.text, said.finish_reason, said.token_ids) == ("<think>4ab", "stop", tuple(ids[:3]))
    assert said.logprobs == (-0.5,) * 3


def test_a_server_is_sent_the_models_own_prompt_in_tokens_and_the_stop_strings(qwen: Path, tmp_path: Path) -> None:
    script = Script()
    with serving(script) as url:
        settings = OpenAiSettings(
            base_url=url, key_variable=None, concurrency=1, timeout_s=60.0, attempts=1,
            usd_per_million_prompt_tokens=0.0, usd_per_million_completion_tokens=0.0,
        )  # fmt: skip
        engine = OpenAiEngine(OpenAi(runs="echo-1/none"), settings, served_name("ab" * 32), qwen, tmp_path / "a.sqlite")
        engine.generate([request_for("own_chat", "2+2=?", "p", 0, 7)], STOPPED)
    [body] = script.asked
    assert body["prompt"] == encode(load_tokenizer(qwen), [OWN], own=True)[0]
    assert (body["stop"], body["include_stop_str_in_output"]) == (["ab", "\nUser:"], True)
