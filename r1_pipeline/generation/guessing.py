"""This module finds right replies that may be lucky: a guess among few answers passes every verifier once in a while.

A right reply to multiple choice, or to a problem whose kind has few different answers, counts if one of two holds:

    its problem   is answered correctly more often than guessing explains (one-sided binomial test over its samples);
                  by recipe this is not enough where the question lists options, since a guess may be a constant one
    its reasoning states the value of the option that it chooses, outside of the list of options, and none after it

The chance of a guess is the larger of two: the chance of a blind guess (one over the number of options; without options
the share of the most frequent reference), and the rate at which the policy gives this answer to the other problems of
the kind. A policy that always says D is therefore not above chance where D is right.
Not covered: sampling again with the options shuffled, which needs the model; here only stored completions are read.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from r1_pipeline.recipe import Recipe
from r1_pipeline.records import DOMAINS, UNSCORED, Domain, Language, Outcome, Problem
from r1_pipeline.rewards.multiple_choice import normal, reference_forms

if TYPE_CHECKING:
    import polars as pl

IDENTITY = "luck@1"
"""The identity of the rule, part of the fingerprint where a recipe uses it; bump it when the rule keeps other
replies."""
GUESSED = "lucky"
"""The drop reason of such replies."""

Kind = tuple[Domain, Language, bool]
"""A kind of problems whose guesses are alike: domain, language, and true where the question has options."""

_LABELS = (
    re.compile(r"[(\[【（]\s*([A-Z])\s*[)\]】）]"),
    re.compile(r"(?:^|(?<=\s))([A-Z])\s*[.:：、．)）]", re.MULTILINE),
)
_LISTED = re.compile(r"[\s,;|/、，；]*(?:and|or|和|或)?\s*")
"""A regular expression for the text between options that are only listed."""
_LETTER_BEFORE = re.compile(r"(?<![a-z])[(\[【（]?\s?([a-z])\s?[)\]】）.:：、]\s?$")
_LETTER_AFTER = re.compile(r"\s?[(\[【（]\s?([a-z])\s?[)\]】）]")
_GOES_ON_BEFORE = re.compile(r"(?:[0-9a-z_]|[0-9][.,])$")
_GOES_ON_AFTER = re.compile(r"[0-9a-z_]|[.,][0-9]")
_MINUS = re.compile(r"(?<![0-9a-z)])-$")
_UNIT = re.compile(r"\s?[%/^]")
"""A regular expression for signs that make another number of the one before them."""


class GuessingRecipe(Recipe):
    """The limits above which a right reply counts as more than a lucky guess."""

    level: float
    """The one-sided level of the test, in (0, 1]; at 1 every reply passes."""
    answers: int
    """The maximum number of different references of a kind of problem whose answers are few; multiple choice always has
    few."""
    stated: bool
    """A reply to a question that lists its options must state the value of its option, whatever the test says, if
    true."""


@dataclass(frozen=True)
class Guessable:
    """The chances of a guess at one problem."""

    kind: Kind
    answer: str
    """The reference, in the normal form."""
    blind: float
    """The chance of a guess that knows nothing of the policy."""
    options: Mapping[str, str]
    """The value of each letter, in the normal form; empty if the question lists no options."""


def screen_guesses(screened: "pl.DataFrame", problems: Iterable[Problem], recipe: GuessingRecipe) -> "pl.DataFrame":
    """Returns `screened`, from `screen_replies`, with the reason `lucky` where a reply had none and luck explains it.

    `value` is then the probability that guessing does as well.
    """
    import polars as pl

    domains = set(screened["domain"])
    guessable = guessables([problem for problem in problems if problem.domain in domains], recipe.answers)
    odds = _odds(screened, guessable)

    @cache
    def explained(problem_id: str, reasoning: str) -> float | None:
        known = guessable[problem_id]
        by_test = odds[problem_id] <= recipe.level and not (recipe.stated and known.options)
        return None if by_test or states_value(reasoning, known.options, known.answer) else odds[problem_id]

    rows = screened.select("problem_id", "reason", "reasoning").iter_rows()
    found = [None if reason or id_ not in odds else explained(id_, text or "") for id_, reason, text in rows]
    luck = pl.Series("luck", found, dtype=pl.Float64)
    named = pl.when(pl.col("luck").is_not_null()).then(pl.lit(GUESSED))
    changed = {"reason": pl.coalesce("reason", named), "value": pl.coalesce("value", "luck")}
    return screened.with_columns(luck).with_columns(**changed).drop("luck")


def guessables(problems: Sequence[Problem], answers: int) -> dict[str, Guessable]:
    """Returns by id the problems that list options, and those of a kind with at most `answers` different references.

    Few answers recur: a kind in which most references occur once is small, and guessing does not pay.
    """
    forms, plain = cache(reference_forms), cache(normal)
    tasks = [problem for problem in problems if DOMAINS[problem.domain].reasoning and not problem.tests]
    read = [(problem, *_read(problem, known, plain)) for problem in tasks if (known := forms(problem.answer or ""))]
    references: dict[Kind, Counter[str]] = defaultdict(Counter)
    for problem, answer, options in read:
        references[_kind(problem, options)][answer] += 1
    found = {}
    for problem, answer, options in read:
        kind = _kind(problem, options)
        seen = references[kind]
        if options:
            found[problem.id] = Guessable(kind, answer, 1 / len(options), options)
        elif len(seen) <= answers and seen.total() >= 2 * len(seen):
            found[problem.id] = Guessable(kind, answer, max(seen.values()) / seen.total(), options)
    return found


def above_chance(right: int, samples: int, chance: float) -> float:
    """Returns the probability that at least `right` of `samples` guesses hit, each with probability `chance`.

    This is the upper tail of the binomial distribution.
    """
    if right <= 0 or chance >= 1:
        return 1.0
    if chance <= 0:
        return 0.0

    def exactly(hits: int) -> float:
        ways = math.lgamma(samples + 1) - math.lgamma(hits + 1) - math.lgamma(samples - hits + 1)
        return math.exp(ways + hits * math.log(chance) + (samples - hits) * math.log1p(-chance))

    return min(1.0, math.fsum(exactly(hits) for hits in range(right, samples + 1)))


def options_of(question: str) -> dict[str, str]:
    """Returns the value of each letter that a question lists as an option (`A. 15`, `(A) 15`, `15(A)`); empty if it
    lists none."""
    for label in _LABELS:
        run: list[re.Match[str]] = []
        for match in label.finditer(question):
            if match[1] == "A":
                run = [match]
            elif run and ord(match[1]) == ord(run[-1][1]) + 1:
                run.append(match)
        if len(run) > 1:
            return _values(question, run)
    return {}


def states_value(reasoning: str, options: Mapping[str, str], chosen: str) -> bool:
    """Returns true if the last option value that `reasoning` states is that of the option `chosen`.

    A value next to its letter, and values in a row, repeat the list of options and state nothing.
    """
    if not _is_telling(options.get(chosen, "")):
        return False
    text = " ".join(reasoning.casefold().split())
    found = _mentions(text, options)
    for index in range(len(found) - 1, -1, -1):
        here = found[index]
        neighbours = found[max(0, index - 1) : index] + found[index + 1 : index + 2]
        listed = (other.value != here.value and _is_list(text, here, other) for other in neighbours)
        if not here.lettered and not any(listed):
            return here.value == options[chosen]
    return False


def _odds(screened: "pl.DataFrame", guessable: Mapping[str, Guessable]) -> dict[str, float]:
    """Returns for each problem the probability that guessing gets as many of its samples right."""
    given: dict[Kind, Counter[str]] = defaultdict(Counter)
    own: dict[str, Counter[str]] = defaultdict(Counter)
    right, samples = Counter[str](), Counter[str]()
    plain = cache(normal)
    for id_, outcome, extracted in screened.select("problem_id", "outcome", "extracted").iter_rows():
        if id_ not in guessable or outcome in UNSCORED:
            continue
        known, correct = guessable[id_], outcome == Outcome.CORRECT
        samples[id_] += 1
        right[id_] += correct
        if extracted is not None:
            answer = known.answer if correct else plain(extracted)
            given[known.kind][answer] += 1
            own[id_][answer] += 1
    found = {}
    for id_, count in samples.items():
        known = guessable[id_]
        others = given[known.kind].total() - own[id_].total()
        same = given[known.kind][known.answer] - own[id_][known.answer]
        found[id_] = above_chance(right[id_], count, max(known.blind, same / others if others else 0.0))
    return found


def _read(problem: Problem, forms: Sequence[str], plain: Callable[[str], str]) -> tuple[str, Mapping[str, str]]:
    """Returns the reference and the options; a reference that is an option, by letter or value, becomes its letter."""
    options = {letter: plain(value) for letter, value in options_of(problem.question).items()}
    letters = [form for form in forms if form in options] or [k for k, value in options.items() if value in forms]
    return (letters[0], options) if letters else (forms[0], {})


def _kind(problem: Problem, options: Mapping[str, str]) -> Kind:
    return problem.domain, problem.language, bool(options)


def _values(question: str, labels: Sequence[re.Match[str]]) -> dict[str, str]:
    """Returns the text behind each label, up to the next one or the end of the line; or before it, if no text is behind
    the last."""
    if question[labels[-1].end() :].strip():
        ends = [label.start() for label in labels[1:]] + [len(question)]
        last = question[labels[-1].end() :].strip().partition("\n")[0]
        texts = [question[label.end() : end] for label, end in zip(labels[:-1], ends, strict=False)] + [last]
    else:
        starts = [0] + [label.end() for label in labels[:-1]]
        texts = [question[start : label.start()] for start, label in zip(starts, labels, strict=True)]
        texts[0] = texts[0].split()[-1] if texts[0].split() else ""
    return {label[1].casefold(): text.strip(" ,;，；\n") for label, text in zip(labels, texts, strict=True)}


def _is_telling(value: str) -> bool:
    """Returns true if a value is specific enough to be found in a text; a single letter occurs in too many words."""
    return bool(value) and not (len(value) == 1 and value.isascii() and value.isalpha())


@dataclass(frozen=True)
class _Mention:
    """An occurrence of an option's value in a text, with its letter if that is next to it."""

    start: int
    end: int
    value: str
    lettered: bool


def _mentions(text: str, options: Mapping[str, str]) -> list[_Mention]:
    """Returns the occurrences of option values in `text` as whole words or numbers, in order; of two that overlap, the
    first."""
    spots = [(at, -len(value), value) for value in {*filter(_is_telling, options.values())} for at in _at(text, value)]
    found: list[_Mention] = []
    reached = 0
    for start, _, value in sorted(spots):
        end = start + len(value)
        if start < reached or not _is_whole(text, start, end):
            continue
        before, after = _LETTER_BEFORE.search(text, max(0, start - 8), start), _LETTER_AFTER.match(text, end)
        before, after = (letter if letter and letter[1] in options else None for letter in (before, after))
        lettered = before is not None or after is not None
        found.append(_Mention(before.start() if before else start, after.end() if after else end, value, lettered))
        reached = end
    return found


def _at(text: str, value: str) -> Iterator[int]:
    start = text.find(value)
    while start >= 0:
        yield start
        start = text.find(value, start + len(value))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Returns true if the value at this place is not part of a longer word or number."""
    first, last = text[start], text[end - 1]
    inside = _alphanumeric(first) and _GOES_ON_BEFORE.search(text, max(0, start - 2), start)
    inside = inside or (first.isdigit() and _MINUS.search(text, max(0, start - 1), start))
    inside = inside or (_alphanumeric(last) and _GOES_ON_AFTER.match(text, end))
    return not (inside or (last.isdigit() and _UNIT.match(text, end)))


def _alphanumeric(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _is_list(text: str, one: _Mention, other: _Mention) -> bool:
    first, second = sorted((one, other), key=lambda each: each.start)
    return _LISTED.fullmatch(text, first.end, max(first.end, second.start)) is not None
