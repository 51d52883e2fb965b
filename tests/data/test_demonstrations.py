"""Demonstrations and kinds of prompts are read as declared, and wrong general data is refused before any training."""

import json
from pathlib import Path
from typing import Any

import pytest

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.data.ingest.declared import SourceRecipe, hash_files, read_sources
from r1_pipeline.data.ingest.mapping import DemonstrationMapping, load_mapping
from r1_pipeline.data.ingest.rendering import RowError
from r1_pipeline.data.ingest.rows import DroppedRow, read_source
from r1_pipeline.data.templates import dialogue, render
from r1_pipeline.errors import RecipeError, SourceError
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.extended import file_source, with_benchmark
from r1_pipeline.profiles.sources import with_sources
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Problem
from r1_pipeline.rewards.reference_checks import curate_problems

DEMONSTRATION = {"makes": "demonstration", "language": "en", "prompt": "{{ q }}", "reply": "{{ a }}"}


def demonstration(row: dict[str, Any], **fields: Any) -> Problem:
    return DemonstrationMapping.model_validate({**DEMONSTRATION, **fields}).record(row, "mine/a.jsonl:3", "MIT")


def test_a_demonstration_is_a_general_prompt_with_a_reply_and_no_reference() -> None:
    made = demonstration({"q": "Say hi. ", "a": " Hi!"})
    assert (made.domain, made.question, made.reply, made.answer, made.kind) == ("general", "Say hi.", "Hi!", None, None)
    assert made.source.startswith("mine/a.jsonl:3#")
    thought = demonstration({"q": "Say hi.", "a": "Hi!", "t": "be kind"}, reasoning="{{ t }}")
    assert thought.reply == "<think>be kind</think>Hi!"


def test_the_turns_of_a_dialogue_read_as_the_models_read_it() -> None:
    made = demonstration({"d": ["Hi", "Hello!", "How are you?"], "a": "Well."}, prompt=None, turns="d")
    assert made.rounds == 2
    assert render("chat", made.question) == "User: Hi\nAssistant: Hello!\nUser: How are you?\nAssistant:"
    assert dialogue(["one"]) == "one"
    assert demonstration({"d": ["one"], "a": "b"}, prompt=None, turns="d").rounds is None


def test_messages_with_a_system_message_become_turns() -> None:
    mapping = load_mapping("message_demonstrations", Path())
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yo"), ("user", "More"), ("assistant", "No.")]
    messages = [{"role": role, "content": text} for role, text in said]
    made = mapping.record({"messages": messages}, "mine/a.jsonl:1", "MIT")
    assert isinstance(made, Problem)
    assert (made.question, made.reply) == ("Be brief.\n\nHi\nAssistant: Yo\nUser: More", "No.")
    alone = mapping.record({"messages": messages[1:3]}, "mine/a.jsonl:1", "MIT")
    assert isinstance(alone, Problem)
    assert (alone.question, alone.reply, alone.rounds) == ("Hi", "Yo", None)
    with pytest.raises(RowError, match="not so: messages"):
        mapping.record({"messages": messages[:2]}, "mine/a.jsonl:1", "MIT")


@pytest.mark.parametrize(
    ("row", "fields", "fault"),
    [
        ({"q": "Hi", "a": " "}, {}, "the reply is empty"),
        ({"q": "Hi"}, {}, "'a' is undefined"),
        ({"q": "Hi", "a": None}, {}, "a column is null"),
        ({"q": "Hi", "a": "<think>x</think>Yo"}, {}, "the reply has tags of reasoning in it"),
        ({"d": ["Hi", "Yo"], "a": "b"}, {"prompt": None, "turns": "d"}, "there are 2 turns; an odd number"),
        ({"d": "Hi", "a": "b"}, {"prompt": None, "turns": "d"}, "turns are not a list of texts"),
        (
            {"q": "Hi", "a": "b", "k": "evil"},
            {"kind": "{{ k }}"},
            "the kind is 'evil', not one of helpful, safety, harm",
        ),
    ],
)
def test_a_row_that_is_no_demonstration_says_why(row: dict[str, Any], fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(RowError, match=fault):
        demonstration(row, **fields)


def test_the_kind_of_a_prompt_is_a_column() -> None:
    kinds = {row: demonstration({"q": "Hi", "a": "b", "k": row}, kind="{{ k }}").kind for row in ("helpful", "safety")}
    assert kinds == {"helpful": "helpful", "safety": "safety"}
    translated = demonstration({"q": "Hi", "a": "b", "k": 1}, kind='{{ "safety" if k else "helpful" }}')
    assert translated.kind == "safety"


def declare(folder: Path, mapping: str, rows: list[dict[str, Any]], side: str = "split", builtin: str = "") -> Path:
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "m.toml").write_text(mapping, encoding="utf-8")
    file = folder / "sources.toml"
    file.write_text(
        f'builtin = ["math", "code", "stem", "logic", "preference"{builtin}]\n[[source]]\nname = "mine"\n'
        f'path = "a.jsonl"\nmapping = "m.toml"\nlicence = "MIT"\norigin = "here"\nside = "{side}"\n',
        encoding="utf-8",
    )
    return file


PAIR = 'makes = "pair"\nlanguage = "en"\nprompt = "{{ p }}"\nchosen = "{{ c }}"\nrejected = "{{ r }}"\n'
PROMPT = 'makes = "problem"\ndomain = "general"\nlanguage = "en"\nquestion = "{{ q }}"\n'
WRITTEN = 'makes = "demonstration"\nlanguage = "en"\nprompt = "{{ q }}"\nreply = "{{ a }}"\n'


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (PAIR, r"m\.toml: pair\.kind: Field required; add it"),
        (PAIR + 'kind = "nice"', r"m\.toml: pair\.kind: 'nice' is not one of helpful, safety, nor a template"),
        (PROMPT + 'kind = "harm"', r"m\.toml: problem\.kind: 'harm' is not one of helpful, safety, harmless, nor a"),
        (PROMPT.replace("general", "math") + 'kind = "safety"', r"kind belongs to prompts of the domain general"),
        (WRITTEN.replace("reply", "answer"), r"m\.toml: demonstration\.reply: Field required; add it"),
        (WRITTEN.replace("prompt", "# prompt"), "a demonstration needs prompt, or turns for a dialogue; give one"),
    ],
)
def test_a_mapping_without_kind_reply_or_prompt_is_refused_by_field(tmp_path: Path, mapping: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_sources(declare(tmp_path, mapping, [{"q": "Hi"}], builtin=', "general"'))


def test_a_row_without_a_reply_is_set_aside_with_its_line_and_a_file_of_such_stops(tmp_path: Path) -> None:
    [own] = read_sources(declare(tmp_path, WRITTEN, [{"q": "Hi", "a": "Yo"}, {"q": "Ho", "a": ""}])).recipes
    dropped = [row for row in read_source(own, tmp_path) if isinstance(row, DroppedRow)]
    assert [(row.where, row.reason, row.detail) for row in dropped] == [
        ("mine/a.jsonl:2", "unmapped", "the reply is empty (columns: q, a)")
    ]
    [own] = read_sources(declare(tmp_path, WRITTEN, [{"q": "Ho", "a": ""}])).recipes
    with pytest.raises(SourceError, match=r"no row of source mine fits: .*a\.jsonl:1: the reply is empty"):
        list(read_source(own, tmp_path))


def test_prompts_alone_are_refused_where_the_graph_needs_replies(tmp_path: Path) -> None:
    """The fault is found while the sources are read, before any model is trained."""
    declared = read_sources(declare(tmp_path, PROMPT, [{"q": "Hi"}]))
    with pytest.raises(
        RecipeError, match=r'no source makes demonstrations, which general_traces needs.*"demonstration"'
    ):
        with_sources(load_profile("smoke", 0), declared)
    written = read_sources(declare(tmp_path, WRITTEN, [{"q": "Hi", "a": "Yo"}]))
    assert with_sources(load_profile("smoke", 0), written).bound


@pytest.mark.parametrize(
    ("side", "heldout", "message"),
    [
        ("train", True, "no general prompt is left on the held-out side .all rows of mine are train rows.; fix"),
        ("heldout", False, "no general prompt is left on the training side .all rows of mine are heldout rows."),
    ],
)
def test_an_empty_general_part_is_refused_before_any_training(
    tmp_path: Path, side: str, heldout: bool, message: str
) -> None:
    declare(tmp_path, WRITTEN, [{"q": "Hi", "a": "Yo"}], side)
    source = SourceRecipe.model_validate(
        {
            "name": "mine", "licence": "MIT", "origin": "here", "side": side,
            "files": hash_files(tmp_path, ["a.jsonl"]),
            "mapping": load_mapping("m.toml", tmp_path),
        }
    )  # fmt: skip
    own = load_profile("smoke", 0).recipes["heldout_problems"]
    assert isinstance(own, CurateRecipe)
    recipe = own.model_copy(update={"builtin": ("math",), "sources": (source,), "heldout": heldout})
    with pytest.raises(SourceError, match=message):
        curate_problems(recipe, Runtime(folders={"mine": str(tmp_path)}), bare_draft(tmp_path), {})


def test_a_benchmark_that_nothing_could_score_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    declare(tmp_path, PROMPT, [{"q": "Hi"}], "heldout")
    own = file_source("mine", tmp_path / "a.jsonl", "m.toml", "MIT", "here", "heldout")
    with pytest.raises(RecipeError, match="the benchmark chat has general prompts without a reference"):
        with_benchmark(load_profile("smoke", 0), "chat", own, tmp_path, problems=5, samples=1)
