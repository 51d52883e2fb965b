"""IFEval's instructions: hand-worked replies, and GPT-4's stored replies against the reference implementation."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1_pipeline.artifacts.tables import read_table
from r1_pipeline.data.ingest.mapping import ProblemMapping, load_mapping
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Outcome, Problem
from r1_pipeline.rewards.graders import VERIFIERS, default_grader
from r1_pipeline.rewards.instruction_rules import RULES
from r1_pipeline.rewards.instructions import InstructionsVerifier, share_followed
from r1_pipeline.rewards.reference_checks import sound_problems
from r1_pipeline.rewards.rubric import Rubric, part_functions
from r1_pipeline.rewards.sentences import capital_words, count_sentences

GOLDEN = Path(__file__).parents[1] / "golden" / "ifeval.json"
SHORT_NAMES = {202, 1843, 3456, 3617}
"""Prompts answered by a word or by names, in which langdetect finds Spanish, German or Somali."""


def problem(*instructions: tuple[str, dict[str, object]]) -> Problem:
    mapping = load_mapping("ifeval", Path())
    assert isinstance(mapping, ProblemMapping)
    names, arguments = [name for name, _ in instructions], [given for _, given in instructions]
    return mapping.record(
        {"prompt": "Say something.", "instruction_id_list": names, "kwargs": arguments}, "x:1", "Apache-2.0"
    )


def reply(text: str) -> Completion:
    return Completion(
        problem_id="p", sample_index=0, seed=0, text=text, token_ids=(1,), finish_reason="stop", engine="none"
    )


CASES = [
    ("keywords:existence", {"keywords": ["Rock", "sea"]}, "The sea and the rocks.", "The rocks."),
    ("keywords:frequency", {"keyword": "war", "frequency": 2, "relation": "at least"}, "War? warring", "War."),
    ("keywords:forbidden_words", {"forbidden_words": ["rock"]}, "The rocket.", "A Rock!"),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "##", "#"),
    ("language:response_language", {"language": "hi"}, "मुझे यह किताब बहुत पसंद है क्योंकि कहानी अच्छी है", "I like this book."),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "One.", "One. Two."),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two-three", "one two"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n***\n***\nb"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
        'Well.\n\n"So, yes."',
        "So.\n\nWell.",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [[b]", "[a] [b\n]"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye. P. P.S more", "P.S. more"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n - b\n**c**", "* a"),
    ("detectable_format:constrained_response", {}, "Well: My answer is no.", "My answer is: no."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and *b*", "*a* and * *"),
    ("detectable_format:multiple_sections", {"section_spliter": "Day", "num_sections": 2}, "Day 1 a Day 2", "Day 1"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Spring>>\nIt is here.", "<<>>"),
    ("combination:two_responses", {}, "a\n******\nb", "a\n******\na"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, "say it. It.", "It."),
    ("startend:end_checker", {"end_phrase": "Bye now."}, 'So: "bye now."', "Bye now. No."),
    ("startend:quotation", {}, ' "quoted" ', '"'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "I DO", "I do"),
    ("change_case:english_capital", {}, "THE SHIP SAILED AWAY.", "The ship sailed away."),
    ("change_case:english_lowercase", {}, "the ship sailed away.", "el barco zarpó hacia la isla de los muertos."),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]


@pytest.mark.parametrize(("name", "arguments", "follows", "fails"), CASES, ids=[case[0] for case in CASES])
def test_each_instruction_is_followed_by_one_reply_and_not_by_another(
    name: str, arguments: dict[str, object], follows: str, fails: str
) -> None:
    with default_grader(Runtime()) as grader:
        asked = problem((name, arguments))
        assert grader.judge_reply(asked, follows, "chat").outcome is Outcome.CORRECT
        assert grader.judge_reply(asked, fails, "chat").outcome is Outcome.WRONG


def test_the_cases_cover_all_25_instructions() -> None:
    assert {case[0] for case in CASES} == set(RULES)
    assert len(RULES) == 25


def test_sentences_and_capital_words_are_counted_by_hand() -> None:
    assert count_sentences('Dr. Smith came. "Who?" he asked! It cost 3.5 dollars... or so. 1. End') == 6
    assert count_sentences("") == 0
    assert capital_words("I DON'T say NASA-style (A) or **NOTE**.") == 5  # I, DO, N'T, A, **NOTE**


def test_the_loose_rule_forgives_a_first_line_and_asterisks() -> None:
    asked = problem(("startend:quotation", {}), ("punctuation:no_comma", {}))
    text = 'Sure, here it is:\n**"All is well."**'
    with default_grader(Runtime()) as strict, default_grader(Runtime(), "lenient") as loose:
        wrong = strict.judge_reply(asked, text, "chat")
        assert wrong.outcome is Outcome.WRONG
        assert wrong.detail == "0 of 2 instructions followed; not startend:quotation, punctuation:no_comma"
        assert loose.judge_reply(asked, text, "chat").outcome is Outcome.CORRECT


def test_the_reasoning_of_a_reply_is_not_judged() -> None:
    with default_grader(Runtime()) as grader:
        asked = problem(("punctuation:no_comma", {}))
        assert grader.judge_reply(asked, "<think>one, two</think>three", "chat").outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("punctuation:no_colon", {}, "no instruction 'punctuation:no_colon'; there are keywords:existence"),
        ("punctuation:no_comma", {"limit": 1}, "punctuation:no_comma: limit: Unexpected keyword argument"),
        ("startend:end_checker", {}, "startend:end_checker: end_phrase: Missing required argument"),
    ],
)
def test_an_instruction_that_cannot_be_checked_is_dropped_before_any_model_sees_it(
    name: str, arguments: dict[str, object], why: str
) -> None:
    with default_grader(Runtime()) as grader:
        kept, dropped = sound_problems(grader, [problem((name, arguments)), problem((CASES[0][0], CASES[0][1]))], 1)
    assert [each.tests[0].function for each in kept] == [CASES[0][0]]
    assert dropped[0].reason == "reference_ungradable"
    assert dropped[0].detail is not None
    assert dropped[0].detail.startswith(why)


def test_hostile_replies_are_judged_in_linear_time() -> None:
    every = problem(*((name, arguments) for name, arguments, *_ in CASES))
    with default_grader(Runtime(), "lenient") as grader:
        for text in ("[" * 60_000, "<<" * 50_000, "\n" * 60_000, "*" * 60_000, "a." * 50_000, "[[[[" * 20_000 + "]"):
            assert grader.judge_reply(every, text, "chat").outcome in (Outcome.WRONG, Outcome.MALFORMED)


def test_obedience_is_a_reward_whole_or_in_part() -> None:
    two = problem(("punctuation:no_comma", {}), ("startend:quotation", {}))
    plain = two.model_copy(update={"verifier": None, "tests": ()})
    rubric = Rubric(accuracy=1.0, format=0.0, language=0.0, preference=0.0, others=(("instructions", 0.5),))
    with default_grader(Runtime()) as grader:
        parts = part_functions(rubric, grader, "chat", {})
        asked, said = [two, two, plain], [reply('"yes"'), reply("yes"), reply("yes")]
        assert parts["accuracy"](asked, said, lambda *_: None) == [1.0, 0.0, None]
        assert parts["instructions"](asked, said, lambda *_: None) == [1.0, 0.5, None]
    assert share_followed(two, reply("<think>never closed"), "chat") == 0.0


@pytest.fixture(scope="module")
def gpt4(public_data: Path) -> list[tuple[int, Problem, str]]:
    mapping = load_mapping("ifeval", Path())
    assert isinstance(mapping, ProblemMapping)
    with gzip.open(public_data / "instruct" / "ifeval_input_data.jsonl.gz") as lines:
        rows = [json.loads(line) for line in lines]
    said = read_table(public_data / "instruct" / "ifeval_gpt4_responses.parquet")["response"]
    asked = [mapping.record(row, "ifeval:1", "Apache-2.0") for row in rows]
    return [(row["key"], each, text) for row, each, text in zip(rows, asked, said, strict=True)]


def disagreements(verifier: InstructionsVerifier, gpt4: list[tuple[int, Problem, str]], column: int) -> Iterator[int]:
    reference = json.loads(GOLDEN.read_text(encoding="utf-8"))["verdicts"]
    assert len(gpt4) == len(reference) == 541
    for key, asked, text in gpt4:
        if (verifier.judge(asked, text).outcome is Outcome.CORRECT) != reference[str(key)][column]:
            yield key


@pytest.mark.parametrize(("rule", "column"), [("strict", 0), ("lenient", 1)])
def test_gpt4_gets_the_verdicts_of_the_reference_implementation(
    rule: str, column: int, gpt4: list[tuple[int, Problem, str]]
) -> None:
    drawn = set(json.loads(GOLDEN.read_text(encoding="utf-8"))["drawn"])
    assert drawn == {1122, 1129}
    verifier = VERIFIERS["instructions"](Runtime(), rule)  # type: ignore[arg-type]
    assert isinstance(verifier, InstructionsVerifier)
    assert set(disagreements(verifier, gpt4, column)) - drawn <= SHORT_NAMES


@pytest.mark.parametrize(("rule", "column"), [("strict", 0), ("lenient", 1)])
def test_with_its_own_language_library_all_verdicts_agree(
    rule: str, column: int, gpt4: list[tuple[int, Problem, str]]
) -> None:
    pytest.importorskip("langdetect", reason="the extra ifeval (langdetect) is not installed")
    drawn = set(json.loads(GOLDEN.read_text(encoding="utf-8"))["drawn"])
    verifier = VERIFIERS["instructions_langdetect"](Runtime(), rule)  # type: ignore[arg-type]
    assert isinstance(verifier, InstructionsVerifier)
    assert set(disagreements(verifier, gpt4, column)) <= drawn
