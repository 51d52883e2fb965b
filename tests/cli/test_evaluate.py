"""`r1 evaluate`: any model on a benchmark, and what is refused before anything is sampled."""

import json
import re
from pathlib import Path

import pytest
from faulty_server import Script, serving
from own_template import make_qwen

from r1_pipeline.artifacts.kinds import Completions
from r1_pipeline.artifacts.manifest import ARTIFACTS
from r1_pipeline.cli.evaluate import BenchmarkResult, chosen, evaluate_model, result_table, subject_of
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.errors import (
    EngineError,
    RecipeError,
    RequirementError,
    SourceError,
    UnknownNameError,
    UnreachableError,
)
from r1_pipeline.evaluation.benchmarks import locate
from r1_pipeline.home import HomeSettings

SUMS = [("What is 1+1?", "2"), ("What is 2+2?", "4"), ("What is 1/2+1/4?", "3/4"), ("What is 4+4?", "8")]
TOML = """
title = "Sums"
about = "Four sums."
origin = "written for this test"
licence = "Apache-2.0"
mapping = "question_answer"
problems = 4
digest = "{digest}"
samples = 2
temperature = 0.6
top_p = 0.95
max_tokens = {tokens}
form = "own_boxed"
paper = "MATH-500"
"""
DIGEST = "2293075eb171cc5d71abe6678e724c38b97f467b9e5cdda0b75d114b9cd2cde7"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the benchmark `sums` and its data."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    rows = "".join(json.dumps({"question": question, "answer": answer}) + "\n" for question, answer in SUMS)
    (folder / "sums.jsonl").write_text(rows, encoding="utf-8")
    write(folder)
    return folder


def write(folder: Path, digest: str = DIGEST, tokens: int = 16) -> None:
    (folder / "sums.toml").write_text(TOML.format(digest=digest, tokens=tokens), encoding="utf-8")


def run(model: str, folder: Path, home: Path, form: str | None = None, limit: int | None = None) -> BenchmarkResult:
    settings = HomeSettings(home=home, profile="smoke", seed=0)
    found = [locate(each, folder) for each in chosen("sums", folder)]
    profile = settings.load()
    (result,) = evaluate_model(subject_of(model, settings, profile, Orchestrator()), found, profile, home, form, limit)
    return result


def answer(prompt: str) -> str:
    """Replies right to three of the four sums: to one of them by another form of the value."""
    right = {"1+1": "\\boxed{2}", "2+2": "\\boxed{5}", "1/2+1/4": "\\boxed{0.75}", "4+4": "It is \\boxed{8}."}
    return next(reply for sum_, reply in right.items() if sum_ in prompt)


def test_a_server_is_evaluated_and_its_answers_are_stored(folder: Path, tmp_path: Path) -> None:
    script = Script(replies=answer, models={"mine": 4096})
    home = tmp_path / "home"
    with serving(script) as url:
        result = run(f"{url}#mine", folder, home)
        asked = len(script.asked)
        again = run(f"{url}#mine", folder, home)
    assert result.scores.pass_at_1 == 0.75
    assert result.scores.pass_at_k == {1: 0.75, 2: 0.75}
    assert result.scores.cons_at_k == 0.75
    assert (result.samples, result.scores.problems, result.truncated, result.unscored) == (2, 4, 0.0, 0.0)
    assert (result.dropped, result.paper["R1"]) == ({}, 97.3)
    assert (result.metric, result.value) == ("pass_at_1", 0.75)
    assert result.model_identity == "server/openai/unstated/mine"
    assert asked == len(script.asked) == 8
    assert again == result
    assert all("put your final answer into \\boxed{}" in each["messages"][0]["content"] for each in script.asked)
    assert script.asked[0]["max_tokens"] == 16
    (stored,) = (home / ARTIFACTS / Completions.kind / "sums_answers").glob("*/*")
    assert Completions.open(stored).completions().height == 8
    assert result_table([result]).row_count == 1


def test_a_directory_is_evaluated_in_its_own_chat_template(folder: Path, tmp_path: Path) -> None:
    model = make_qwen(tmp_path / "toy-qwen")
    result = run(str(model), folder, tmp_path / "home", limit=2)
    assert (result.model, result.template, result.scores.n) == ("toy-qwen", "own_boxed", 4)
    assert 0 < result.scores.mean_tokens <= 16
    assert 0.0 <= result.truncated <= 1.0
    assert re.fullmatch("[0-9a-f]{64}", result.model_identity)
    assert run(str(model), folder, tmp_path / "home", form="boxed", limit=2).template == "boxed"


def test_a_context_that_is_too_short_is_refused_before_anything_is_sampled(folder: Path, tmp_path: Path) -> None:
    write(folder, tokens=32768)
    with pytest.raises(RecipeError, match="sums lets a reply have 32768 tokens, the context of toy-qwen is 512; lower"):
        run(str(make_qwen(tmp_path / "toy-qwen")), folder, tmp_path / "home")
    script = Script(replies=answer, models={"mine": 4096})
    with serving(script) as url, pytest.raises(RecipeError, match=r"the context of mine-at-.* is 4096"):
        run(f"{url}#mine", folder, tmp_path / "home")
    assert script.asked == []


def test_other_data_than_the_pinned_is_refused_before_anything_is_sampled(folder: Path, tmp_path: Path) -> None:
    (folder / "sums.jsonl").write_text('{"question": "What is 1+1?", "answer": "2"}\n', encoding="utf-8")
    script = Script(replies=answer, models={"mine": None})
    with (
        serving(script) as url,
        pytest.raises(SourceError, match=r"sums is not the published set: sums\.jsonl makes 1"),
    ):
        run(f"{url}#mine", folder, tmp_path / "home")
    assert script.asked == []


def test_a_model_that_is_nowhere_is_refused(folder: Path, tmp_path: Path) -> None:
    for model, error, message in (
        ("nobody", UnknownNameError, "URL#NAME on a server"),
        ("http://127.0.0.1:9/v1", RecipeError, "names a server and no model"),
        ("http://127.0.0.1:9/v1#mine", UnreachableError, "does not answer"),
        ("owner/name@" + "0" * 40, RequirementError, "hf download owner/name"),
    ):
        with pytest.raises(error, match=message):
            run(model, folder, tmp_path / "home")
    with serving(Script(models={"other": None})) as url, pytest.raises(EngineError, match="it serves other"):
        run(f"{url}#mine", folder, tmp_path / "home")


def test_without_names_every_benchmark_with_data_is_taken(folder: Path) -> None:
    assert [each.name for each in chosen(None, folder)] == ["sums"]
    with pytest.raises(UnknownNameError, match="benchmark"):
        chosen("sums,gsm9k", folder)
    with pytest.raises(RecipeError, match="there is no data of any benchmark"):
        chosen(None, folder.parent)
