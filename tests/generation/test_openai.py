"""The server engine is tested on a real HTTP server: its requests, costs, retries and cache."""

import logging
import time
from pathlib import Path

import pytest
from faulty_server import Fault, Script, serving

from r1_pipeline.engines import OpenAi
from r1_pipeline.errors import EngineError
from r1_pipeline.generation.openai import OpenAiEngine, served_name
from r1_pipeline.records import Request, Sampling
from r1_pipeline.settings.engines import OpenAiSettings
from r1_pipeline.training.tokenizer import train_tokenizer

SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=4)
KEY = "sk-very-secret"
ECHO = OpenAi(runs="echo-1/none")


def request(index: int) -> Request:
    return Request(problem_id="p", prompt=f"say {index}", sample_index=index, seed=2**62 + index)


def settings(
    url: str, *, key: bool = False, timeout_s: float = 60.0, attempts: int = 3, concurrency: int = 1
) -> OpenAiSettings:
    return OpenAiSettings(
        base_url=url,
        key_variable="R1_TEST_KEY" if key else None,
        concurrency=concurrency,
        timeout_s=timeout_s,
        attempts=attempts,
        usd_per_million_prompt_tokens=1.0,
        usd_per_million_completion_tokens=5.0,
    )


def chat(url: str, cache: Path, **more: object) -> OpenAiEngine:
    return OpenAiEngine(ECHO, settings(url, **more), "anybody", None, cache / "answers.sqlite")  # type: ignore[arg-type]


def test_a_model_of_somebody_else_is_asked_in_its_chat(tmp_path: Path) -> None:
    script = Script()
    with serving(script) as url:
        (completion,) = chat(url, tmp_path).generate([request(7)], SAMPLING)
    assert script.asked == [
        {
            "model": "anybody",
            "messages": [{"role": "user", "content": "say 7"}],
            "seed": 2**62 + 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 4,
        }
    ]
    assert (completion.text, completion.finish_reason, completion.token_ids) == ("7", "stop", ())
    assert completion.engine == "openai/echo-1/none"


def test_a_checkpoint_is_asked_in_tokens_of_its_own_under_its_digest(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["say 0 1 2 3"] * 3, 320, 32)
    tokenizer.save_pretrained(tmp_path)
    script = Script()
    with serving(script) as url:
        engine = OpenAiEngine(ECHO, settings(url), served_name("ab" * 32), tmp_path, tmp_path / "answers.sqlite")
        spelled = request(3).model_copy(update={"prompt": "say </s> 3"})
        (completion, _) = engine.generate([request(3), spelled], SAMPLING)
    ids = tokenizer("say 3")["input_ids"]
    asked = {tokenizer.decode(body["prompt"]): body["prompt"] for body in script.asked}
    assert asked["say 3"] == ids
    assert tokenizer.eos_token_id not in asked["say </s> 3"]
    assert script.asked[0]["model"] == "r1-abababababababab"
    assert completion.token_ids == (ids[-1], tokenizer.eos_token_id)
    assert completion.text == tokenizer.decode(ids[-1:])
    assert completion.logprobs == (-0.5, -0.25)


@pytest.mark.parametrize("fault", ["busy", "broken", "silent", "cut", "half"])
def test_what_may_pass_is_sent_again(tmp_path: Path, fault: Fault) -> None:
    script = Script(faults=[fault])
    with serving(script) as url:
        engine = chat(url, tmp_path, timeout_s=2.0 if fault == "silent" else 60.0)
        started = time.monotonic()
        (completion,) = engine.generate([request(1)], SAMPLING)
    assert completion.text == "1"
    assert script.asked[0] == script.asked[1]
    assert engine.usage()["failed"] == 1
    if fault == "busy":
        assert time.monotonic() - started >= 1.0  # as its Retry-After said


def test_what_will_not_pass_is_not_sent_again_and_the_key_is_in_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("R1_TEST_KEY", KEY)
    script = Script(faults=["refused"])
    with serving(script) as url, caplog.at_level(logging.DEBUG):
        engine = chat(url, tmp_path, key=True)
        with pytest.raises(EngineError, match="status 401: no, Bearer …") as refused:
            engine.generate([request(1)], SAMPLING)
        engine.generate([request(1)], SAMPLING)
    assert script.keys == [f"Bearer {KEY}"] * 2
    assert KEY not in str(refused.value)
    assert KEY not in caplog.text
    assert not [file for file in tmp_path.rglob("*") if KEY.encode() in file.read_bytes()]


def test_a_key_that_is_not_there_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R1_TEST_KEY", raising=False)
    with pytest.raises(EngineError, match="R1_TEST_KEY is not set"):
        chat("http://127.0.0.1:9/v1", tmp_path, key=True)


def test_an_interrupted_run_does_not_pay_twice(tmp_path: Path) -> None:
    requests = [request(index) for index in range(6)]
    script = Script()
    with serving(script) as url:
        first = chat(url, tmp_path, attempts=1)
        first.generate(requests[:3], SAMPLING)
        script.faults = ["broken"]
        with pytest.raises(EngineError, match=r"in 1 attempts, the last with status 500.*run again"):
            first.generate(requests[:4], SAMPLING)
        assert first.usage()["completion_tokens"] == 6
        second = chat(url, tmp_path)
        texts = [completion.text for completion in second.generate(requests, SAMPLING)]
    assert texts == ["0", "1", "2", "3", "4", "5"]
    assert len(script.asked) == 3 + 1 + 3
    assert second.usage() == {
        "requests": 6,
        "cached": 3,
        "failed": 0,
        "prompt_tokens": 30,
        "completion_tokens": 6,
        "usd": pytest.approx((30 * 1.0 + 6 * 5.0) / 1e6),
    }
    assert second.usage()["requests"] == 0


@pytest.mark.parametrize("change", [{"temperature": 0.6}, {"max_tokens": 5}])
def test_another_request_is_another_answer(tmp_path: Path, change: dict[str, float]) -> None:
    script = Script()
    with serving(script) as url:
        engine = chat(url, tmp_path)
        engine.generate([request(1)], SAMPLING)
        engine.generate([request(1)], SAMPLING.model_copy(update=change))
        engine.generate([request(1).model_copy(update={"seed": 0})], SAMPLING)
    assert len(script.asked) == 3


def test_no_more_requests_are_under_way_than_allowed_and_answers_keep_their_order(tmp_path: Path) -> None:
    script = Script(linger_s=0.3)
    seen: list[tuple[int, int]] = []
    with serving(script) as url:
        engine = chat(url, tmp_path, concurrency=4)
        said = engine.generate([request(i) for i in range(12)], SAMPLING, lambda done, all_: seen.append((done, all_)))
    assert [completion.text for completion in said] == [str(i) for i in range(12)]
    assert 2 <= script.busiest <= 4
    assert seen[-1] == (12, 12)


def test_a_server_without_token_ids_cannot_answer_for_a_checkpoint(tmp_path: Path) -> None:
    train_tokenizer(["say 0 1 2 3"] * 3, 320, 32).save_pretrained(tmp_path)
    script = Script(without_ids=True)
    with serving(script) as url:
        engine = OpenAiEngine(ECHO, settings(url), served_name("ab" * 32), tmp_path, tmp_path / "answers.sqlite")
        with pytest.raises(EngineError, match="does not return token ids"):
            engine.generate([request(3)], SAMPLING)
