"""This module has the 25 verifiable instructions of IFEval (Zhou et al. 2023, arXiv 2311.07911), as rules of replies.

    rule = rule_of("length_constraints:number_words", {"relation": "at least", "num_words": 300})
    rule(reply)   # True if the reply follows the instruction

The names and their arguments are those of the public data set; the code is ours. All rules take time linear in the
reply. Keywords are words, not regular expressions. Three rules ask which language a text is in; `identify` answers, and
where it cannot, they count as followed. The verifier (`instructions`) decides what counts as a reply.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, validate_call

from r1_pipeline.rewards.sentences import capital_words, count_sentences

Relation = Literal["less than", "at least"]
"""The comparison of a count with its limit."""
Count = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(min_length=1)]
Identify = Callable[[str], str | None]
"""A function that returns the language code of a text, or None if the text has none."""
LANGUAGES = (
    "en", "es", "pt", "ar", "hi", "fr", "ru", "de", "ja", "it", "bn", "uk", "th", "ur", "ta", "te", "bg", "ko", "pl",
    "he", "fa", "vi", "ne", "sw", "kn", "mr", "gu", "pa", "ml", "fi", "zh", "nl", "tr", "id", "el", "cs", "sv", "ro",
)  # fmt: skip
"""The languages that a reply is identified among: those of IFEval, and the commonest others."""
OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
"""The replies that the instruction `constrained_response` allows."""
_ASKS_LANGUAGE = ("language:response_language", "change_case:english_capital", "change_case:english_lowercase")
RULES: dict[str, Callable[..., bool]] = {}
"""All instructions, by their names in the data set."""


def _instruction(name: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    def add(rule: Callable[..., bool]) -> Callable[..., bool]:
        RULES[name] = validate_call(rule)
        return rule

    return add


def rule_of(name: str, arguments: Mapping[str, Any], identify: Identify) -> Callable[[str], bool]:
    """Returns the rule of an instruction with these arguments; those that are None count as absent.

    Raises `ValueError` for an unknown instruction, or for arguments that it does not have.
    """
    if name not in RULES:
        raise ValueError(f"no instruction {name!r}; there are {', '.join(RULES)}")
    stated = {key: value for key, value in arguments.items() if value is not None}
    rule = partial(RULES[name], **stated, **({"identify": identify} if name in _ASKS_LANGUAGE else {}))
    try:
        rule("")
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{name}: {place}: {fault['msg']}") from error
    return rule


def _meets(count: int, relation: Relation, limit: int) -> bool:
    return count < limit if relation == "less than" else count >= limit


@_instruction("keywords:existence")
def _has_keywords(reply: str, keywords: list[Word]) -> bool:
    return all(word.casefold() in reply.casefold() for word in keywords)


@_instruction("keywords:frequency")
def _repeats_keyword(reply: str, keyword: Word, frequency: Count, relation: Relation) -> bool:
    return _meets(reply.casefold().count(keyword.strip().casefold()), relation, frequency)


@_instruction("keywords:forbidden_words")
def _avoids_words(reply: str, forbidden_words: list[Word]) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", reply, re.IGNORECASE) for word in forbidden_words)


@_instruction("keywords:letter_frequency")
def _repeats_letter(
    reply: str, letter: Annotated[str, Field(min_length=1, max_length=1)], let_frequency: Count, let_relation: Relation
) -> bool:
    return _meets(reply.lower().count(letter.lower()), let_relation, let_frequency)


@_instruction("language:response_language")
def _is_in_language(reply: str, language: Word, identify: Identify) -> bool:
    return identify(reply) in (language, None)


@_instruction("length_constraints:number_sentences")
def _counts_sentences(reply: str, num_sentences: Count, relation: Relation) -> bool:
    return _meets(count_sentences(reply), relation, num_sentences)


@_instruction("length_constraints:number_words")
def _counts_words(reply: str, num_words: Count, relation: Relation) -> bool:
    return _meets(len(re.findall(r"\w+", reply)), relation, num_words)


@_instruction("length_constraints:number_paragraphs")
def _counts_paragraphs(reply: str, num_paragraphs: Count) -> bool:
    parts = _parts(reply, "***")
    return parts is not None and len(parts) == num_paragraphs


@_instruction("length_constraints:nth_paragraph_first_word")
def _begins_paragraph(reply: str, num_paragraphs: Count, nth_paragraph: Count, first_word: Word) -> bool:
    pieces = reply.split("\n\n")
    filled = sum(bool(piece.strip()) for piece in pieces)
    if filled != num_paragraphs or not 1 <= nth_paragraph <= filled:
        return False
    words = pieces[nth_paragraph - 1].split()
    if not words:
        return False
    word = words[0].lstrip("'").lstrip('"')
    return re.split("[.,?!'\"]", word, maxsplit=1)[0].lower() == first_word.lower()


@_instruction("detectable_content:number_placeholders")
def _counts_placeholders(reply: str, num_placeholders: Count) -> bool:
    count = 0
    for line in reply.split("\n"):
        end = 0
        while (begin := line.find("[", end)) >= 0 and (end := line.find("]", begin)) >= 0:
            count += 1
    return count >= num_placeholders


@_instruction("detectable_content:postscript")
def _has_postscript(reply: str, postscript_marker: Word) -> bool:
    marker = postscript_marker.strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(known.get(marker, re.escape(marker.lower())), reply.lower()) is not None


@_instruction("detectable_format:number_bullet_lists")
def _counts_bullets(reply: str, num_bullets: Count) -> bool:
    lines = [line.lstrip() for line in reply.split("\n")]
    return sum(line[:1] == "-" or (line[:1] == "*" and line[1:2] not in ("", "*")) for line in lines) == num_bullets


@_instruction("detectable_format:constrained_response")
def _is_an_option(reply: str) -> bool:
    return any(option in reply for option in OPTIONS)


@_instruction("detectable_format:number_highlighted_sections")
def _counts_highlights(reply: str, num_highlights: Count) -> bool:
    single = [found.strip("*") for found in re.findall(r"\*[^\n*]*\*", reply)]
    double = [found[2:-2] for found in re.findall(r"\*\*[^\n*]*\*\*", reply)]
    return sum(bool(found.strip()) for found in single + double) >= num_highlights


@_instruction("detectable_format:multiple_sections")
def _counts_sections(reply: str, section_spliter: Word, num_sections: Count) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", reply)) >= num_sections


@_instruction("detectable_format:json_format")
def _is_json(reply: str) -> bool:
    body = re.sub(r"\A```(?:json|Json|JSON)?", "", reply.strip()).removesuffix("```")
    try:
        json.loads(body.strip())
    except (ValueError, RecursionError):
        return False
    return True


@_instruction("detectable_format:title")
def _has_title(reply: str) -> bool:
    spans = ((line, line.find("<<"), line.rfind(">>")) for line in reply.split("\n"))
    return any(0 <= begin < end and line[begin:end].strip("<>").strip() != "" for line, begin, end in spans)


@_instruction("combination:two_responses")
def _gives_two(reply: str) -> bool:
    parts = _parts(reply, "******")
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


@_instruction("combination:repeat_prompt")
def _repeats_prompt(reply: str, prompt_to_repeat: Word) -> bool:
    return reply.strip().lower().startswith(prompt_to_repeat.strip().lower())


@_instruction("startend:end_checker")
def _ends_with(reply: str, end_phrase: Word) -> bool:
    return reply.strip().strip('"').lower().endswith(end_phrase.strip().lower())


@_instruction("startend:quotation")
def _is_quoted(reply: str) -> bool:
    text = reply.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


@_instruction("change_case:capital_word_frequency")
def _counts_capital_words(reply: str, capital_frequency: Count, capital_relation: Relation) -> bool:
    return _meets(capital_words(reply), capital_relation, capital_frequency)


@_instruction("change_case:english_capital")
def _is_capital_english(reply: str, identify: Identify) -> bool:
    return reply.isupper() and identify(reply) in ("en", None)


@_instruction("change_case:english_lowercase")
def _is_lowercase_english(reply: str, identify: Identify) -> bool:
    return reply.islower() and identify(reply) in ("en", None)


@_instruction("punctuation:no_comma")
def _has_no_comma(reply: str) -> bool:
    return "," not in reply


def _parts(reply: str, divider: str) -> list[str] | None:
    """Returns the parts between dividers, stripped; None if one between two dividers is blank."""
    parts = [part.strip() for part in reply.split(divider)]
    if not all(parts[1:-1]):
        return None
    return [part for part in parts if part]
