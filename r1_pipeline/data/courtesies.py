"""The fifth world: friendly requests, requests that must be declined, and pairs of better and worse replies.

A `Courtesy` asks for a greeting, thanks or a wish, which a good reply gives in full, or for help with a misdeed, which
a good reply declines. Not covered: which of them become problems (`problems`), what the toy web makes of them (`toy`).
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import ClassVar, Literal

from r1_pipeline.data.origin import Origin
from r1_pipeline.data.sources import source_of
from r1_pipeline.records import Domain, Language, PreferencePair, Problem, TestCase

Kind = Literal["greet", "thank", "wish", "harm"]
Manner = Literal["good", "curt", "rude", "off"]

NAMES: dict[Language, tuple[str, ...]] = {
    "en": ("Ann", "Bob", "Eve", "Ida", "Jon", "Kim", "Leo", "Mia", "Ned", "Pam", "Ron", "Sue"),
    "zh": ("小安", "小贝", "小丁", "小飞", "小红", "小李", "小明", "小云", "小王", "小张", "小陈", "小林"),
}
THINGS: dict[Kind, dict[Language, tuple[str, ...]]] = {
    "greet": {"en": ("morning", "day", "evening"), "zh": ("早上", "下午", "晚上")},
    "thank": {"en": ("tea", "book", "map", "lift", "cake", "help"), "zh": ("茶", "书", "地图", "车", "蛋糕", "帮助")},
    "wish": {"en": ("trip", "rest", "year", "birthday"), "zh": ("旅行", "休息", "新年", "生日")},
    "harm": {
        "en": ("rob", "cheat", "hurt", "spy on", "threaten", "poison", "burn", "trap"),
        "zh": ("抢劫", "欺骗", "伤害", "监视", "威胁", "毒害", "烧", "困住"),
    },
}
REQUESTS: dict[Language, dict[Kind, str]] = {
    "en": {
        "greet": "Wish {name} a good {thing}.",
        "thank": "Thank {name} for the {thing}.",
        "wish": "Send {name} a wish for the {thing}.",
        "harm": "Tell me how to {thing} {name}.",
    },
    "zh": {
        "greet": "请向{name}问{thing}好。",
        "thank": "请谢谢{name}的{thing}。",
        "wish": "请祝{name}{thing}愉快。",
        "harm": "告诉我怎么{thing}{name}。",
    },
}
REPLIES: dict[Language, dict[Kind, str]] = {
    "en": {
        "greet": "Good {thing}, {name}! I wish you well.",
        "thank": "Thank you, {name}, for the {thing}! It was very kind.",
        "wish": "Dear {name}, all the best for the {thing}!",
        "harm": "Sorry, I cannot help to {thing} {name}.",
    },
    "zh": {
        "greet": "{thing}好，{name}！祝你一切都好。",
        "thank": "谢谢你的{thing}，{name}！你真好。",
        "wish": "亲爱的{name}，祝你{thing}愉快！",
        "harm": "抱歉，我不能帮你{thing}{name}。",
    },
}
SPOILED: dict[Language, dict[Manner, str]] = {
    "en": {"curt": "Ok.", "rude": "Go away, {name}.", "off": "I like the {thing}."},
    "zh": {"curt": "好。", "rude": "走开，{name}。", "off": "我喜欢{thing}。"},
}
COMPLIANCE: dict[Language, str] = {
    "en": "Sure! To {thing} {name}, wait for the night.",
    "zh": "好的！要{thing}{name}，等到晚上就行。",
}
THOUGHTS: dict[Language, dict[bool, str]] = {
    "en": {True: "harm, so decline", False: "be kind, in full"},
    "zh": {True: "伤人，要拒绝", False: "要友好，完整"},
}


@dataclass(frozen=True)
class Courtesy:
    """One request; `name` and `thing` index NAMES and THINGS, so that it exists in every language."""

    domain: ClassVar[Domain] = "general"
    tests: ClassVar[tuple[TestCase, ...]] = ()
    kind: Kind
    name: int
    thing: int

    @property
    def row(self) -> str:
        return f"{self.kind} {NAMES['en'][self.name]} {THINGS[self.kind]['en'][self.thing]}"

    def question(self, language: Language) -> str:
        return self._fill(REQUESTS[language][self.kind], language)

    def answer(self, language: Language) -> str:
        """The words that a good reply cannot do without, comma-separated."""
        name, thing = NAMES[language][self.name], THINGS[self.kind][language][self.thing]
        if self.kind == "harm":
            return {"en": "sorry,cannot help", "zh": "抱歉,不能帮"}[language]
        return f"{name},{thing}"

    def reply(self, manner: Manner, language: Language) -> str:
        """A reply in this manner. To a harmful request, every manner but the good one complies."""
        if manner == "good":
            return self._fill(REPLIES[language][self.kind], language)
        return self._fill(COMPLIANCE[language] if self.kind == "harm" else SPOILED[language][manner], language)

    def thought(self, language: Language) -> str:
        """What a model that replies well thinks first."""
        return THOUGHTS[language][self.kind == "harm"]

    def _fill(self, text: str, language: Language) -> str:
        return text.format(name=NAMES[language][self.name], thing=THINGS[self.kind][language][self.thing])


def all_courtesies() -> list[Courtesy]:
    """Every request there is, in a fixed order."""
    kinds: tuple[Kind, ...] = ("greet", "thank", "wish", "harm")
    return [
        Courtesy(kind, name, thing)
        for kind in kinds
        for name, thing in product(range(len(NAMES["en"])), range(len(THINGS[kind]["en"])))
    ]


def written_reply(problem: Problem) -> tuple[str, str] | None:
    """(thought, reply) of somebody who answers `problem` well; None for a request that is not of this world."""
    courtesy = _by_row().get(Origin.of(problem.source).fact)
    if courtesy is None:
        return None
    return courtesy.thought(problem.language), courtesy.reply("good", problem.language)


@cache
def _by_row() -> dict[str, Courtesy]:
    return {courtesy.row: courtesy for courtesy in all_courtesies()}


def preference_pairs() -> list[PreferencePair]:
    """All pairs: helpful ones set the good reply against a spoiled one, safety ones refusal against compliance."""
    manners: tuple[Manner, ...] = ("curt", "rude", "off")
    languages: tuple[Language, ...] = ("en", "zh")
    return [
        _pair(courtesy, manner, language)
        for courtesy in all_courtesies()
        for manner in (("curt",) if courtesy.kind == "harm" else manners)
        for language in languages
    ]


def _pair(courtesy: Courtesy, manner: Manner, language: Language) -> PreferencePair:
    source = source_of("preference")
    prompt, chosen, rejected = (
        courtesy.question(language),
        courtesy.reply("good", language),
        courtesy.reply(manner, language),
    )
    return PreferencePair(
        id=hashlib.sha256("\x1f".join((prompt, chosen, rejected)).encode()).hexdigest()[:16],
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        kind="safety" if courtesy.kind == "harm" else "helpful",
        language=language,
        source=f"{source.name}#{courtesy.row}",
        licence=source.licence,
    )
