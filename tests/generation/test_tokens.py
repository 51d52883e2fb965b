"""A model sees what the file says: control tokens are text there, rows that are too long and unknown characters are
counted."""

from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from r1_pipeline.data.templates import PREAMBLE, TAGS, render
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.tokens import (
    character_counts,
    context_of,
    fitting_problems,
    load_tokenizer,
    unknown_characters,
)
from r1_pipeline.records import Problem
from r1_pipeline.training.tokenizer import train_tokenizer

TEXT = "User: say 0 1 2 3?\nAssistant: <think>three</think> <answer>3</answer> / a b s u n k p d"
CONTROL = ("<pad>", "<s>", "</s>", "<unk>")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tokenizer of the toy world and a configuration with 64 positions."""
    folder = tmp_path_factory.mktemp("model")
    train_tokenizer([TEXT] * 3, 400, 64).save_pretrained(folder)
    LlamaConfig(max_position_embeddings=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(model)


@pytest.mark.parametrize("token", CONTROL)
def test_a_control_token_in_a_text_is_text(tokenizer: PreTrainedTokenizerBase, token: str) -> None:
    for text in (token, f"say {token} 3", f"3{token}{token}", f"<think>{token}</think>"):
        ids = tokenizer(text)["input_ids"]
        assert not set(ids) & set(tokenizer.all_special_ids)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_tags_of_the_templates_keep_their_meaning(tokenizer: PreTrainedTokenizerBase) -> None:
    for tag in TAGS:
        assert tokenizer.convert_ids_to_tokens(tokenizer(f"a{tag}b")["input_ids"]) == ["a", tag, "b"]
    assert tokenizer.convert_ids_to_tokens(tokenizer(render("zero", "3"))["input_ids"])[0] == PREAMBLE


def test_a_tokenizer_that_takes_a_word_for_its_end_is_refused(tmp_path: Path) -> None:
    letters = {letter: number for number, letter in enumerate("<>/sab")}
    backend = Tokenizer(models.BPE(vocab=letters | {"</s>": 9}, merges=[], ignore_merges=True))
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>").save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="reads '</s>' in a text as the control token itself"):
        load_tokenizer(tmp_path)


def test_an_end_token_that_was_saved_as_an_ordinary_one_is_a_control_token_all_the_same(tmp_path: Path) -> None:
    backend = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate("<|im_end>ab")}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    backend.add_tokens([AddedToken("<|im_end|>", special=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.save_pretrained(tmp_path)
    ids = load_tokenizer(tmp_path)("a<|im_end|>b")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == list("a<|im_end|>b")


def test_problems_without_room_for_the_longest_reply_are_set_aside(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    problems = [
        Problem(
            id=f"{n:016x}", question="3 " * n, answer="3", tests=(), domain="math", language="en",
            source=f"longs/a.jsonl:{n}#x", licence="MIT",
        )
        for n in range(1, 40)
    ]  # fmt: skip
    lengths = [len(tokenizer(render("chat", problem.question))["input_ids"]) for problem in problems]
    kept, dropped = fitting_problems(problems, model, "chat", reply_tokens=16)
    assert context_of(model) == 64
    assert kept == [p for p, tokens in zip(problems, lengths, strict=True) if tokens + 16 <= 64]
    assert 0 < len(kept) < len(problems)
    assert {row.reason for row in dropped} == {"too_long"}
    first = len(kept)
    assert (dropped[0].source, dropped[0].file, dropped[0].line) == ("longs", "a.jsonl", first + 1)
    assert dropped[0].detail == f"the prompt has {lengths[first]} tokens, the reply up to 16; the context is 64"


def test_characters_are_counted_the_most_frequent_first() -> None:
    found = character_counts(["say $3$", "\N{SNOWMAN} a", "", "\ud83d"])
    assert list(found.items())[:3] == [(" ", 2), ("$", 2), ("a", 2)]
    assert (sum(found.values()), found["\N{SNOWMAN}"], found["\ud83d"]) == (11, 1, 1)
    assert character_counts([]) == {}


def test_a_character_that_becomes_the_unknown_token_is_unknown() -> None:
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "3": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    assert unknown_characters(
        "3$a\N{SNOWMAN}", PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    ) == [
        "$",
        "\N{SNOWMAN}",
    ]


def test_a_character_that_a_tokenizer_drops_without_a_word_is_unknown_and_a_dropped_blank_is_not() -> None:
    backend = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert unknown_characters("ab \nc", PreTrainedTokenizerFast(tokenizer_object=backend)) == ["c"]


def test_the_toy_worlds_tokenizer_knows_every_character_by_its_bytes(tokenizer: PreTrainedTokenizerBase) -> None:
    text = "Let $f(x)=\\frac{x^2-1}{x+1}$.\t\N{SNOWMAN} \U0001f600 \x00"
    assert unknown_characters(text, tokenizer) == []
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_byte_that_a_text_spells_is_text(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.decode(tokenizer("a <0x41> b")["input_ids"]) == "a <0x41> b"


def test_a_vocabulary_without_room_for_the_characters_is_refused() -> None:
    with pytest.raises(RecipeError, match="vocabulary is 270; raise it"):
        train_tokenizer([TEXT] * 3, 270, 64)
