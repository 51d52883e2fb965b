"""Seeds belong to samples, not to batches; the fake engine keeps the order of its requests."""

import json
from pathlib import Path

import pytest

from r1_pipeline.data.templates import render
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.generation.engine import requests_for, sample_seed
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.records import Problem, Sampling

PROBLEMS = [
    Problem(
        id=problem_id(question, "4", (), "math"),
        question=question,
        answer="4",
        tests=(),
        domain="math",
        language="en",
        source="test#1",
        licence="CC0-1.0",
    )
    for question in ("2 + 2?", "1 + 3?")
]


def test_a_seed_has_63_bits_and_follows_from_run_problem_and_index() -> None:
    assert sample_seed(0, "p", 1) == sample_seed(0, "p", 1)
    seeds = {sample_seed(run, problem, index) for run in (0, 1) for problem in ("p", "q") for index in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_requests_go_problem_by_problem_with_a_rendered_prompt() -> None:
    requests = requests_for(PROBLEMS, "chat", samples=2, run_seed=7)
    assert [(r.problem_id, r.sample_index) for r in requests] == [(p.id, i) for p in PROBLEMS for i in (0, 1)]
    assert requests[0].prompt == render("chat", "2 + 2?")


def test_the_fake_engine_answers_in_order_and_cuts_at_the_limit() -> None:
    engine = FakeEngine(lambda request: f"seed {request.seed}")
    requests = requests_for(PROBLEMS, "chat", samples=1, run_seed=0)
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=4)
    seen: list[tuple[int, int]] = []
    completions = engine.generate(requests, sampling, lambda done, total: seen.append((done, total)))
    assert [c.seed for c in completions] == [r.seed for r in requests]
    assert [(c.text, c.finish_reason) for c in completions] == [("seed", "length")] * 2
    assert seen == [(2, 2)]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "deepseek_v3"])
def test_a_tokenizer_loads_as_it_was_saved_whatever_the_architecture(tmp_path: Path, architecture: str) -> None:
    from r1_pipeline.generation.tokens import load_tokenizer
    from r1_pipeline.training.tokenizer import train_tokenizer

    text = "User: What is 3 + 12?\nAssistant:"
    made = train_tokenizer([text] * 3, 320, 32)
    made.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    assert load_tokenizer(tmp_path)(text)["input_ids"] == made(text)["input_ids"]
