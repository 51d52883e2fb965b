"""Supervised finetuning trains on the response and its end, and on nothing of the prompt."""

import logging
import warnings
from pathlib import Path

import pytest
import torch
import training_runs as runs
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.artifacts.tables import read_records
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.sft import Row, encode_fitting_rows, train_sft

ONE_STEP = runs.SFT.model_copy(update={"epochs": 1, "batch": len(runs.ROWS)})


def response_loss(directory: Path) -> float:
    """Mean negative log-likelihood of all response tokens and ends, computed row by row without padding."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory)
    losses = []
    for prompt, response, _ in runs.ROWS:
        p = tokenizer(prompt)["input_ids"]
        r = [*tokenizer(response)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logp = model(torch.tensor([p + r])).logits[0].log_softmax(-1)
        losses += [-logp[len(p) + i - 1, token].item() for i, token in enumerate(r)]
    return sum(losses) / len(losses)


def test_the_loss_is_that_of_responses_and_their_ends(tiny: Path, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    train_sft(tiny, [runs.ROWS], ONE_STEP, runs.RUNTIME, draft)
    assert read_metrics(draft.metrics)[0]["loss"] == pytest.approx(response_loss(tiny), rel=1e-5)
    assert response_loss(draft.path) < response_loss(tiny)


def test_prompt_and_response_are_tokenized_apart(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    [(prompt, response)] = encode_fitting_rows(tokenizer, [("12", "3</think>")], max_tokens=5)
    assert tokenizer.convert_ids_to_tokens(prompt) == ["1", "2"]
    assert tokenizer.convert_ids_to_tokens(response) == ["3", "</think>", "</s>"]


def test_a_reply_to_be_scored_must_fit(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="a row has 4 tokens and must have at most 3"):
        encode_fitting_rows(load_tokenizer(tiny), [("1", "2"), ("1", "23")], max_tokens=3)


def test_an_end_token_in_a_text_is_text_and_a_reply_ends_once(tiny: Path) -> None:
    tokenizer = load_tokenizer(tiny)
    rows = [("what is <s>b</s>?", "<think>it closes with </s></think>\\boxed{5}</s>")]
    [(prompt, response)] = encode_fitting_rows(tokenizer, rows, max_tokens=1000)
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(prompt)
    assert response.count(tokenizer.eos_token_id) == 1
    assert response[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(response[:-1]) == rows[0][1]
    assert {"<think>", "</think>"} <= set(tokenizer.convert_ids_to_tokens(response))


def test_rows_too_long_for_recipe_or_model_are_set_aside_and_the_rest_is_learned(tiny: Path, tmp_path: Path) -> None:
    short = Row("1?", "2", "mine/a.jsonl:1#1")
    for limit, context, longest in ((64, 512, 63), (1000, 512, 511)):
        fits, long = (Row("1?", "2" * n, f"mine/a.jsonl:{n}#{n}") for n in (longest - 2, longest - 1))
        draft = bare_draft(tmp_path / str(limit))
        recipe = ONE_STEP.model_copy(update={"max_tokens": limit, "batch": 2})
        assert train_sft(tiny, [[short, long], [fits]], recipe, runs.RUNTIME, draft) == {"too_long": 1}
        [dropped] = read_records(draft.path / "logs/set_aside.parquet", DroppedRow)
        most = min(limit, context)
        assert (dropped.where, dropped.reason) == (f"mine/a.jsonl:{longest - 1}", "too_long")
        assert dropped.detail == f"{most + 1} tokens, prompt and reply together; at most {most} are read"
        assert len(read_metrics(draft.metrics)) == 1


def test_where_no_row_fits_nothing_is_trained(tiny: Path, tmp_path: Path) -> None:
    recipe = ONE_STEP.model_copy(update={"max_tokens": 3})
    with pytest.raises(RecipeError, match=r"no row is left to finetune on \({'too_long': 12}\)"):
        train_sft(tiny, [runs.ROWS], recipe, runs.RUNTIME, bare_draft(tmp_path))


def test_the_micro_batch_does_not_change_the_result(tiny: Path, tmp_path: Path) -> None:
    losses = []
    for size in (12, 5, 1):
        draft = bare_draft(tmp_path / str(size))
        train_sft(tiny, [runs.ROWS], runs.SFT, Runtime(threads=1, micro_batch=size), draft)
        losses.append([row["loss"] for row in read_metrics(draft.metrics)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


def test_the_learning_rate_follows_the_cosine_to_its_floor(tiny: Path, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    train_sft(tiny, [runs.ROWS], runs.SFT, runs.RUNTIME, draft)
    rates = [row["learning_rate"] for row in read_metrics(draft.metrics)]
    # lr(t) = floor + (peak - floor) * (1 + cos(pi t / 6)) / 2 at t = 0 … 5
    assert rates == pytest.approx([0.01, 0.0093971, 0.00775, 0.0055, 0.00325, 0.0016029], rel=1e-4)


def test_nothing_warns(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        train_sft(tiny, [runs.ROWS], ONE_STEP, runs.RUNTIME, bare_draft(tmp_path))
    assert caplog.messages == []
