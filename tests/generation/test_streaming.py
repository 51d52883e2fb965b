"""A streamed reply is the reply: the same tokens as all at once, told as a text that only grows."""

from pathlib import Path

from own_template import make_qwen

from r1_pipeline.cli.chat import Typed
from r1_pipeline.generation.engine import StreamingEngine, requests_for
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Problem, Sampling

ASKED = Problem(
    id="sum", question="2+2=?", answer="4", tests=(), domain="math", language="en", source="s", licence="MIT"
)


def test_a_streamed_reply_is_the_one_that_is_generated_at_once(tmp_path: Path) -> None:
    engine, sampling = HfEngine(make_qwen(tmp_path), Runtime()), Sampling(temperature=1.0, top_p=1.0, max_tokens=24)
    assert isinstance(engine, StreamingEngine)
    for form in ("own_chat", "zero"):
        requests = requests_for([ASKED], form, samples=4, run_seed=0)
        for request in requests:
            heard: list[str] = []
            written: list[str] = []
            streamed = engine.stream(request, sampling, heard.append)
            [whole] = engine.generate([request], sampling)
            assert (streamed.text, streamed.token_ids, streamed.finish_reason) == (
                whole.text,
                whole.token_ids,
                whole.finish_reason,
            )
            assert len(heard) == len(whole.token_ids)
            assert heard[-1] == whole.text
            typed = Typed(written.append)
            for text in heard:
                typed.heard(text)
            typed.end(streamed.text)
            assert "".join(written) == f"{whole.text.strip()}\n"


def test_an_engine_that_cannot_tell_a_reply_while_it_is_made_is_known_as_such() -> None:
    assert not isinstance(FakeEngine(lambda _: "4"), StreamingEngine)
