"""A mapping makes the declared record of a row and nothing else; a row that does not fit has a reason."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from r1_pipeline.data.ingest.mapping import PairMapping, ProblemMapping, load_mapping, shipped_mappings
from r1_pipeline.data.ingest.rendering import RowError
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.recipe import canonical_json
from r1_pipeline.records import Problem

HERE = Path()


def problem(name: str, row: dict[str, Any]) -> Problem:
    mapping = load_mapping(name, HERE)
    assert isinstance(mapping, ProblemMapping)
    return mapping.record(row, "mine/a.jsonl:7", "MIT")


def mapped(answer: str, row: dict[str, Any], **more: Any) -> str | None:
    fields = {"makes": "problem", "domain": "math", "language": "en", "question": "?", "answer": answer, **more}
    return ProblemMapping.model_validate(fields).record(row, "mine/a.jsonl:7", "MIT").answer


def test_gsm8k_gives_question_answer_place_and_licence() -> None:
    made = problem("gsm8k", {"question": " How many? ", "answer": "3 of 4 #### no\n#### 1,234"})
    assert (made.question, made.answer, made.domain, made.language) == ("How many?", "1,234", "math", "en")
    assert made.licence == "MIT"
    assert re.fullmatch(r"mine/a\.jsonl:7#[0-9a-f]{16}", made.source)


def test_the_place_changes_neither_the_id_nor_the_fact() -> None:
    mapping = load_mapping("gsm8k", HERE)
    row = {"question": "How many?", "answer": "#### 3"}
    here, there = (mapping.record(row, place, "MIT") for place in ("mine/a.jsonl:7", "yours/b.csv:1"))
    assert here.id == there.id
    assert here.source.partition("#")[2] == there.source.partition("#")[2]


def test_options_become_lettered_lines() -> None:
    row = {"question": "Which?", "options": ["red", 2.0], "answer": "B"}
    assert problem("mmlu", row).question == "Which?\nA. red\nB. 2"
    row = {"question": "哪个？", "options": {"A": "红", "D": "蓝"}, "label": "D"}
    assert problem("agieval_zh", row).question == "哪个？\nA. 红\nD. 蓝"


def test_the_last_box_counts_with_its_braces() -> None:
    row = {"problem": "?", "solution": r"\boxed{1}, so \boxed{\frac{1}{2}}."}
    assert problem("math_solution", row).answer == r"\frac{1}{2}"


def test_tests_of_code_are_taken_in_every_shape() -> None:
    pairs = problem("stdin_pairs", {"problem": "Echo.", "tests": [{"input": "1\n", "output": "1"}] * 2})
    lists = problem("stdin_lists", {"problem": "Echo.", "tests": {"inputs": ["1\n"] * 2, "outputs": ["1"] * 2}})
    assert pairs.tests == lists.tests
    assert (pairs.tests[0].kind, pairs.tests[0].given, pairs.tests[0].expected) == ("stdin", "1\n", "1")
    row = {
        "text": "Add.",
        "code": "def plus(a, b):\r\n  return a + b",
        "test_setup_code": "",
        "test_list": ["assert set(plus(1, 2)) == 3"],
        "challenge_test_list": [],
    }
    [unit] = problem("mbpp", row).tests
    assert (unit.function, unit.given) == ("plus", "\nassert set(plus(1, 2)) == 3")


def test_pairs_of_dialogues_are_cut_at_the_last_reply() -> None:
    mapping = load_mapping("hh_harmless", HERE)
    assert isinstance(mapping, PairMapping)
    head = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    pair = mapping.record({"chosen": f"{head} no", "rejected": f"{head} yes"}, "hh/a.jsonl:1", "MIT")
    assert (pair.chosen, pair.rejected, pair.kind) == ("no", "yes", "safety")
    assert pair.prompt == "Human: a\n\nAssistant: b\n\nHuman: c"
    with pytest.raises(RowError, match="both replies are the same"):
        mapping.record({"chosen": f"{head} no", "rejected": f"{head} no"}, "hh/a.jsonl:1", "MIT")
    with pytest.raises(RowError, match="not so: chosen"):
        mapping.record({"chosen": f"{head} no", "rejected": "\n\nAssistant: yes"}, "hh/a.jsonl:1", "MIT")


def test_numbers_print_as_people_write_them() -> None:
    assert mapped("{{ a }}", {"a": 27.0}) == "27"
    assert mapped("{{ a }}", {"a": 0.5}) == "0.5"
    assert mapped("{{ row['the answer'] }}", {"the answer": 3}) == "3"


@pytest.mark.parametrize(
    ("answer", "row", "fault"),
    [
        ("{{ a }}", {"b": 1}, "'a' is undefined"),
        ("{{ a }}", {"a": None}, "a column is null"),
        ("{{ a }}", {"a": float("nan")}, "a number is nan"),
        ("{{ a }}", {"a": [1]}, "a column is a list or a record"),
        ("{{ a }}", {"a": "  "}, "the answer is empty"),
        ("{{ a }}", {"a": "\ud800"}, r"half a character, \ud800"),
        ('{{ a | after("####") }}', {"a": "no mark"}, "'####' does not occur"),
        ('{{ a | match("x=([0-9]+)") }}', {"a": "y=1"}, "nothing matches 'x=([0-9]+)'"),
        ("{{ a | boxed }}", {"a": r"\boxed{1"}, r"\boxed{ is not closed"),
        ("{{ a[3] }}", {"a": [1]}, "list object has no element 3"),
        ("{{ a.__class__.__mro__ }}", {"a": "x"}, "access to attribute '__class__' of 'str' object is unsafe"),
    ],
)
def test_a_row_that_does_not_fit_says_why(answer: str, row: dict[str, Any], fault: str) -> None:
    with pytest.raises(RowError, match=re.escape(fault)):
        mapped(answer, row)


def test_language_and_requirement_are_looked_at() -> None:
    assert mapped("1", {"l": "zh"}, language="{{ l }}") == "1"
    with pytest.raises(RowError, match="the language is 'eo', not one of en, zh, ja"):
        mapped("1", {"l": "eo"}, language="{{ l }}")
    with pytest.raises(RowError, match="not so: level > 3"):
        mapped("1", {"level": 3}, require="level > 3")


def test_a_fact_joins_what_is_asked_in_two_languages() -> None:
    fields = {"makes": "problem", "domain": "math", "language": "{{ l }}", "question": "{{ q }}", "fact": "{{ id }}"}
    mapping = ProblemMapping.model_validate(fields)
    rows = ({"l": "en", "q": "three?", "id": 5}, {"l": "zh", "q": "三？", "id": 5})
    assert len({mapping.record(row, "m/a:1", "MIT").source for row in rows}) == 1


def test_every_shipped_mapping_loads_and_begins_with_what_it_is_for() -> None:
    assert "gsm8k" in shipped_mappings()
    for name in shipped_mappings():
        assert load_mapping(name, HERE).makes in ("problem", "demonstration", "pair")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("makes = 'problem'\nmakes problem\n", r"own\.toml is not TOML: .*line 2"),
        ("makes = 'problem'\ndomain = 'art'", "problem.domain: unknown domain 'art'; valid: math"),
        ("makes = 'pair'\nprompt = '{{ a'", "is not a template"),
        ("makes = 'problem'\nrequire = 'a >'", "is not an expression"),
        ("makes = 'problem'\ncolour = 'red'", "problem.colour: Extra inputs are not permitted"),
    ],
)
def test_a_mapping_that_means_nothing_is_refused_with_its_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_mapping("own.toml", tmp_path)


def test_unknown_mappings_are_refused_with_those_there_are() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown mapping 'gsm9k'; did you mean gsm8k\? valid: .*gsm8k.*toml file"
    ):
        load_mapping("gsm9k", HERE)
    with pytest.raises(RecipeError, match=r"nowhere\.toml cannot be read"):
        load_mapping("nowhere.toml", HERE)


def test_json_text_of_arguments_stays_what_it_was() -> None:
    tests = {"kind": "call", "each": "cases", "function": "f", "given": "{{ case[0] | tojson }}", "limit_s": 1}
    fields = {"makes": "problem", "domain": "code", "language": "en", "question": "?"}
    mapping = ProblemMapping.model_validate({**fields, "tests": {**tests, "expected": "{{ case[1] | tojson }}"}})
    [test] = mapping.record({"cases": [[["<a>", 1.5, None], True]]}, "m/a:1", "MIT").tests
    assert (json.loads(test.given), json.loads(test.expected)) == (["<a>", 1.5, None], True)


def test_tests_may_declare_a_tolerance_and_a_prelude_and_mappings_without_are_as_they_were() -> None:
    tests = {"kind": "stdin", "each": "cases", "function": "", "given": "{{ case }}", "expected": "1", "limit_s": 1}
    fields = {"makes": "problem", "domain": "code", "language": "en", "question": "?"}
    plain = ProblemMapping.model_validate({**fields, "tests": tests})
    declared = {**tests, "tolerance": 1e-6, "prelude": "{{ setup }}\n"}
    mapping = ProblemMapping.model_validate({**fields, "tests": declared})
    row = {"cases": ["1"], "setup": "import math"}
    [test], [old] = mapping.record(row, "m/a:1", "MIT").tests, plain.record(row, "m/a:1", "MIT").tests
    assert (test.tolerance, test.prelude) == (1e-6, "import math\n")
    assert (old.tolerance, old.prelude) == (None, None)
    assert "tolerance" not in canonical_json(plain) and "prelude" not in canonical_json(plain)
    with pytest.raises(ValidationError):
        ProblemMapping.model_validate({**fields, "tests": {**tests, "tolerance": 0}})


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"\xff", "bytes that are not UTF-8"),
        (timedelta(days=1), "a timedelta, which has no one form as text"),
        (("k", 1), "a tuple, which has no one form as text"),
    ],
)
def test_a_value_that_has_no_one_form_as_text_is_a_fault(value: object, fault: str) -> None:
    for template in ("{{ q }}", "So: {{ q }}"):
        mapping = ProblemMapping(makes="problem", domain="math", language="en", question=template, answer="1")
        with pytest.raises(RowError, match=fault):
            mapping.record({"q": value}, "s/f:1", "MIT")


def test_dates_and_exact_numbers_are_text() -> None:
    mapping = ProblemMapping(makes="problem", domain="math", language="en", question="{{ q }}", answer="{{ a }}")
    made = mapping.record({"q": date(2024, 2, 29), "a": Decimal("0.10")}, "s/f:1", "MIT")
    assert (made.question, made.answer) == ("2024-02-29", "0.10")
