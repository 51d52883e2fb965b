"""The reasoning tasks of the toy world are of four kinds: sums, programs, products, turns.

A `ToyTask` is one checkable fact, independent of language. It can pose its question and write its own solution, in the
words of a `Voice`; a careless voice slips. Every task belongs to one domain and is named by its `row`, so that all
questions about one fact are on the same side of the split.
Not covered: which tasks exist (`toy_problems`), the web of texts about them (`toy_corpus`), general prompts
(`toy_general`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Literal, Protocol

from r1_pipeline.records import Domain, Language, TestCase

Style = Literal["hasty", "steps", "check"]
"""The reasoning style.

`hasty` takes an early step for the answer (multiple choice: no step, the option is guessed); `steps` takes all steps;
`check` estimates the answer in the head, then checks the estimate with all steps.
"""

SYMBOLS = {"plus": "+", "minus": "-", "times": "*"}
DIRECTIONS: dict[Language, tuple[str, ...]] = {"en": ("north", "east", "south", "west"), "zh": ("北", "东", "南", "西")}
TURNS = {"straight": 0, "right": 1, "back": 2, "left": 3}
"""The number of clockwise quarter turns of each turn."""
LETTERS = "ABCD"
PROGRAM_LIMIT_S = 2.0
"""The limit of one call in seconds of wall time; a right program takes microseconds."""


class Voice(Protocol):
    """The author of a solution."""

    style: Style

    def say(self, word: str) -> str:
        """Returns `word` (a key of `toy_corpus.WORDS`) in the language of this voice, spaces included."""
        ...

    def waver(self, options: Sequence[str]) -> Sequence[str]:
        """Returns all of `options` in any order, then the one that is taken; no step of the solution is worked out."""
        ...

    def pace(self, steps: int) -> int:
        """Returns how many of `steps` are taken before the value is given as the answer: all, or fewer in haste."""
        ...

    def settle(self, right: str, slip: str) -> str:
        """Returns the value that is written down: `right`, or sometimes `slip`; an author who checks slips less."""
        ...

    def estimate(self, right: str, slips: Sequence[str], calculations: int) -> str:
        """Returns a mental estimate: `right` unless one of `calculations` slips, else one of `slips`."""
        ...


class ToyTask(Protocol):
    """A checkable fact."""

    domain: ClassVar[Domain]

    @property
    def row(self) -> str:
        """The name of the fact within its domain, independent of language."""
        ...

    @property
    def tests(self) -> tuple[TestCase, ...]:
        """The hidden tests of a program; empty for other tasks."""
        ...

    def question(self, language: Language) -> str:
        """Returns the question in this language."""
        ...

    def answer(self, language: Language) -> str | None:
        """Returns the reference answer, for code a passing program."""
        ...

    def solve(self, language: Language, voice: Voice) -> tuple[str, str]:
        """Returns the reasoning and the final answer."""
        ...


def apply(operation: str, left: int, right: int) -> int:
    """Returns `left operation right` for a key of `SYMBOLS`; raises `ValueError` for any other operation."""
    match operation:
        case "plus":
            return left + right
        case "minus":
            return left - right
        case "times":
            return left * right
        case _:
            raise ValueError(f"unknown operation {operation!r}; use one of {', '.join(SYMBOLS)}")


def _steps(count: int, voice: Voice) -> int:
    """Returns the number of steps that this voice takes, of `count`."""
    return 1 if voice.style == "hasty" else count


def _reason(voice: Voice, steps: Sequence[str], last: str, estimate: str | None) -> str:
    """Returns all `steps`, which end at `last`; the style `check` puts its `estimate` before them and its verdict after
    them.

    An `estimate` of None means that the problem is too easy to estimate.
    """
    if voice.style != "check" or estimate is None:
        return voice.say("first") + voice.say("then").join(steps)
    verdict = voice.say("right" if estimate == last else "wrong")
    return voice.say("guess") + estimate + voice.say("check") + voice.say("then").join(steps) + verdict + last


def _pick(options: tuple[str, ...], row: str) -> str:
    """Returns one phrasing for each row, always the same."""
    return options[sum(row.encode()) % len(options)]


@dataclass(frozen=True)
class Sum:
    """A sum `terms[0] ± terms[1] ± …` whose partial sums are never negative."""

    domain: ClassVar[Domain] = "math"
    tests: ClassVar[tuple[TestCase, ...]] = ()
    terms: tuple[int, ...]
    operations: tuple[str, ...]

    @property
    def row(self) -> str:
        rest = (f" {SYMBOLS[name]} {term}" for name, term in zip(self.operations, self.terms[1:], strict=True))
        return f"{self.terms[0]}{''.join(rest)}"

    @property
    def values(self) -> tuple[int, ...]:
        """The values after each step."""
        return tuple(accumulate(zip(self.operations, self.terms[1:], strict=True), _go_on, initial=self.terms[0]))[1:]

    def question(self, language: Language) -> str:
        if language == "en":
            return _pick(("What is {}?", "Work out {}.", "Please find {}."), self.row).format(self.row)
        return _pick(("{} 等于几？", "请算 {}。", "求 {}。"), self.row).format(self.row)

    def answer(self, language: Language) -> str:
        return str(self.values[-1])

    def solve(self, language: Language, voice: Voice) -> tuple[str, str]:
        value, steps = str(self.terms[0]), []
        for name, term in list(zip(self.operations, self.terms[1:], strict=True))[: voice.pace(len(self.operations))]:
            right = max(0, apply(name, int(value), term))
            before, value = value, voice.settle(str(right), str(right + 1))
            steps.append(f"{before} {SYMBOLS[name]} {term} = {value}")
        total = self.values[-1]
        near = [str(total + off) for off in (-2, -1, 1, 2) if total + off >= 0]
        deep = len(self.operations) > 1
        estimate = voice.estimate(str(total), near, len(self.operations)) if deep else None
        return _reason(voice, steps, value, estimate), value


def _go_on(value: int, step: tuple[str, int]) -> int:
    return apply(step[0], value, step[1])


@dataclass(frozen=True)
class Program:
    """A function of x made of two operations, each with a number."""

    domain: ClassVar[Domain] = "code"
    operations: tuple[str, str]
    numbers: tuple[int, int]

    @property
    def row(self) -> str:
        (p, q), (m, n) = self.operations, self.numbers
        return f"(x {SYMBOLS[p]} {m}) {SYMBOLS[q]} {n}"

    @property
    def tests(self) -> tuple[TestCase, ...]:
        (p, q), (m, n) = self.operations, self.numbers
        return tuple(
            TestCase(
                kind="call",
                function="f",
                given=json.dumps([x]),
                expected=json.dumps(apply(q, apply(p, x, m), n)),
                limit_s=PROGRAM_LIMIT_S,
            )
            for x in (0, 1, 7, -4)
        )

    def question(self, language: Language) -> str:
        words = PROGRAM_WORDS[language]
        (p, q), (m, n) = self.operations, self.numbers
        if language == "en":
            return f"Write f(x) in Python: {words[p].format(m)}, then {words[q].format(n)}."
        return f"用 Python 写 f(x)：{words[p].format(m)}，再{words[q].format(n)}。"

    def answer(self, language: Language) -> str:
        return _function(self.operations, self.numbers)

    def solve(self, language: Language, voice: Voice) -> tuple[str, str]:
        numbers, steps = [], []
        for name, number, unknown in list(zip(self.operations, self.numbers, "xy", strict=True))[: _steps(2, voice)]:
            settled = voice.settle(str(number), str(number + 1))
            numbers.append(int(settled))
            steps.append(f"{unknown} {SYMBOLS[name]} {settled}")
        text = voice.say("first") + voice.say("then").join(steps)
        if len(numbers) == 1:
            return text, f"def f(x): return x {SYMBOLS[self.operations[0]]} {numbers[0]}"
        return text, _function(self.operations, (numbers[0], numbers[1]))


def _function(operations: tuple[str, str], numbers: tuple[int, int]) -> str:
    (p, q), (m, n) = operations, numbers
    return f"def f(x): return (x {SYMBOLS[p]} {m}) {SYMBOLS[q]} {n}"


PROGRAM_WORDS: dict[Language, dict[str, str]] = {
    "en": {"plus": "add {}", "minus": "subtract {}", "times": "multiply by {}"},
    "zh": {"plus": "加上 {}", "minus": "减去 {}", "times": "乘以 {}"},
}

LAWS: dict[str, dict[Language, str]] = {
    "distance": {"en": "A car goes {} m/s for {} s. Metres?", "zh": "车速 {} 米每秒，开 {} 秒，走几米？"},
    "force": {"en": "A mass of {} kg speeds up by {} m/s/s. Newtons?", "zh": "质量 {} 千克，加速度 {}，力几牛？"},
    "voltage": {"en": "A current of {} A flows through {} ohm. Volts?", "zh": "电流 {} 安，电阻 {} 欧，电压几伏？"},
    "atoms": {
        "en": "One molecule has {} hydrogen atoms. How many in {}?",
        "zh": "一个分子有 {} 个氢原子，{} 个有几个？",
    },
    "grams": {"en": "One mole weighs {} g. Grams in {} mol?", "zh": "一摩尔重 {} 克，{} 摩尔重几克？"},
}


@dataclass(frozen=True)
class Product:
    """A multiple-choice question about a law of nature that multiplies two numbers."""

    domain: ClassVar[Domain] = "stem"
    tests: ClassVar[tuple[TestCase, ...]] = ()
    law: str
    factors: tuple[int, int]
    options: tuple[int, ...]
    """Four different values, one of which is right."""

    @property
    def row(self) -> str:
        return f"{self.law} {self.factors[0]} {self.factors[1]} of {'/'.join(map(str, self.options))}"

    def question(self, language: Language) -> str:
        return f"{LAWS[self.law][language].format(*self.factors)} {' '.join(self._shown)}"

    def answer(self, language: Language) -> str:
        return f"({LETTERS[self.options.index(self.factors[0] * self.factors[1])]})"

    def solve(self, language: Language, voice: Voice) -> tuple[str, str]:
        a, b = self.factors
        if voice.style == "hasty":
            named = voice.waver(self._shown)
            return voice.say("guess") + " ".join(named), named[-1].lstrip("0123456789")
        right = self.options.index(a * b)
        value = voice.settle(str(a * b), str(self.options[(right + 1) % len(self.options)]))
        chosen = self._shown[self.options.index(int(value))]
        step = f"{a} * {b} = {value}"
        if voice.style == "check":
            others = [shown for shown in self._shown if shown != self._shown[right]]
            reasoning = _reason(voice, [step], chosen, voice.estimate(self._shown[right], others, len(self.options)))
        else:
            reasoning = f"{voice.say('first')}{step}{voice.say('so')}{chosen}"
        return reasoning, chosen.removeprefix(value)

    @property
    def _shown(self) -> list[str]:
        return [f"{value}({letter})" for letter, value in zip(LETTERS, self.options, strict=True)]


@dataclass(frozen=True)
class Turn:
    """The direction in which one faces after some turns."""

    domain: ClassVar[Domain] = "logic"
    tests: ClassVar[tuple[TestCase, ...]] = ()
    start: int
    """The index of the first direction in DIRECTIONS."""
    turns: tuple[str, ...]

    @property
    def row(self) -> str:
        return f"{DIRECTIONS['en'][self.start]} {' '.join(self.turns)}"

    def question(self, language: Language) -> str:
        start = DIRECTIONS[language][self.start]
        if language == "en":
            return f"You face {start} and turn {', '.join(self.turns)}. Which way now?"
        return f"面向{start}，{'，'.join(TURN_WORDS['zh'][turn] for turn in self.turns)}。现在向哪？"

    def answer(self, language: Language) -> str:
        return DIRECTIONS[language][(self.start + sum(TURNS[turn] for turn in self.turns)) % 4]

    def solve(self, language: Language, voice: Voice) -> tuple[str, str]:
        names, words = DIRECTIONS[language], TURN_WORDS[language]
        facing, steps = names[self.start], []
        for turn in self.turns[: _steps(len(self.turns), voice)]:
            before = facing
            right = names[(names.index(facing) + TURNS[turn]) % 4]
            facing = voice.settle(right, names[(names.index(right) + 2) % 4])
            steps.append(f"{before} {words[turn]} = {facing}")
        end = self.answer(language)
        others = [name for name in names if name != end]
        return _reason(voice, steps, facing, voice.estimate(end, others, len(self.turns))), facing


TURN_WORDS: dict[Language, dict[str, str]] = {
    "en": {turn: turn for turn in TURNS},
    "zh": {"straight": "直行", "left": "左转", "right": "右转", "back": "后转"},
}
