"""Each architecture is built, trained and written whole, with a tokenizer that separates numbers and tags."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.data.templates import TAGS, render, solution
from r1_pipeline.data.toy_corpus import ToyRecipe
from r1_pipeline.data.toy_problems import ProblemsRecipe
from r1_pipeline.generation.engine import sample_seed
from r1_pipeline.generation.hf import HfEngine, load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.training.pretrain import Architecture, DeepseekV3, Dense, PretrainRecipe, train_base

DEEPSEEK = DeepseekV3(
    width=32, layers=2, heads=2, intermediate=64, expert_intermediate=32, experts=2, experts_per_token=1, latent=16,
    rope_dim=8, value_dim=16,
)  # fmt: skip
RUNTIME = Runtime(threads=1, generation_batch=8)


def recipe(architecture: Architecture) -> PretrainRecipe:
    problems = ProblemsRecipe(
        seed=0,
        sums=(0, 50),
        programs=20,
        products=20,
        digits=1,
        largest_sum=27,
        largest_factor=9,
        turns=1,
        heldout_share=0.2,
    )
    web = ToyRecipe(
        problems=problems,
        seed=0,
        texts=300,
        domains={"math": 2, "code": 1, "stem": 1, "logic": 1, "general": 1},
        zero_share=0.5,
        untidy_share=0.2,
        styles={"hasty": 1, "steps": 1, "check": 1},
        hasty_steps=2,
        mixed={"hasty": 0.3, "steps": 0.3, "check": 0.3},
        slip=0.5,
        notice=0.0,
        mixed_care=0.8,
        manners={"good": 1, "rude": 1},
    )
    return PretrainRecipe(
        web=web, architecture=architecture, vocabulary=656, context=128, steps=4, batch=16,
        learning_rate=1e-3, beta2=0.98,
        warmup_steps=1, weight_decay=0.0, max_grad_norm=1.0, save_steps=2, seed=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draft = bare_draft(tmp_path_factory.mktemp("base"))
    train_base(recipe(DEEPSEEK), RUNTIME, draft)
    assert [row["step"] for row in read_metrics(draft.metrics)] == [1, 2, 3, 4]
    return draft.path


def test_the_base_says_what_servers_need_to_know(base: Path) -> None:
    config = AutoConfig.from_pretrained(base)
    assert config.model_type == "deepseek_v3"
    assert (config.topk_method, config.scoring_func, config.q_lora_rank) == ("noaux_tc", "sigmoid", None)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_students_have_their_own_architecture(family: str, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    dense = Dense(type=family, width=32, layers=1, heads=2, key_value_heads=1, intermediate=64)  # type: ignore[arg-type]
    train_base(recipe(dense), RUNTIME, draft)
    assert AutoConfig.from_pretrained(draft.path).model_type == family


def test_tags_are_single_tokens_nothing_merges_with_a_number_and_text_survives(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    text = render("zero", "What is 2 + 5 + 10?") + solution("zero", "first 2 + 5 = 7，再 7 + 10 = 17", "17")
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert [pieces.count(tag) for tag in TAGS] == [1, 1, 1, 1]
    assert not any(any(map(str.isdigit, piece)) and not piece.isdigit() for piece in pieces)


def test_the_chat_template_of_the_tokenizer_is_the_chat_prompt(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    messages = [{"role": "user", "content": "What is 2 + 5 + 10?"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == render("chat", "What is 2 + 5 + 10?")


def test_a_sample_depends_on_its_seed_and_neither_on_the_batch_nor_on_its_place_in_it(base: Path) -> None:
    engine = HfEngine(base, RUNTIME)
    sampling = Sampling(temperature=1.0, top_p=0.95, max_tokens=12)
    requests = [
        Request(problem_id="p", prompt=render("zero", question), sample_index=i, seed=sample_seed(0, question, i))
        for question in ("What is 2 + 5 + 10?", "求 1 + 1 + 1。")
        for i in range(6)
    ]
    together = [without_chances(c) for c in engine.generate(requests, sampling)]
    assert [without_chances(c) for c in engine.generate(requests[::-1], sampling)] == together[::-1]
    assert [without_chances(engine.generate([request], sampling)[0]) for request in requests[:3]] == together[:3]
    assert len({completion.token_ids for completion in together}) > 6


def without_chances(completion: Completion) -> Completion:
    """Log-probabilities depend on the batch in their last bits."""
    return completion.model_copy(update={"logprobs": ()})


def test_a_greedy_reply_is_that_of_transformers(base: Path) -> None:
    prompts = [render("chat", question) for question in ("Hi", "What is 2 + 5 + 10?")]
    requests = [Request(problem_id="p", prompt=prompt, sample_index=0, seed=0) for prompt in prompts]
    ours = HfEngine(base, RUNTIME).generate(requests, Sampling(temperature=0, top_p=1, max_tokens=70))
    tokenizer = load_tokenizer(base, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    theirs = model.generate(**inputs, max_new_tokens=70, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    for completion, row in zip(ours, theirs.tolist(), strict=True):
        assert list(completion.token_ids) == row[: len(completion.token_ids)]
        assert completion.finish_reason == "stop" or len(completion.token_ids) == 70
    assert max(len(completion.token_ids) for completion in ours) > 32


def test_greedy_samples_do_not_depend_on_the_seed(base: Path) -> None:
    requests = [Request(problem_id="p", prompt=render("chat", "Hi"), sample_index=i, seed=i) for i in range(3)]
    texts = {c.text for c in HfEngine(base, RUNTIME).generate(requests, Sampling(temperature=0, top_p=1, max_tokens=5))}
    assert len(texts) == 1
