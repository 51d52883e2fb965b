"""The general tasks of the toy world are friendly requests, harmful ones to decline, and those that only look harmful.

A `GeneralTask` requests a greeting, thanks, a wish, an invitation or a reminder, which a good reply gives in full; help
with a misdeed, which it declines; or help with a harmless deed of the same verb, which it gives.
Not covered: its sentences (`toy_general_words`), pairs of replies (`toy_pairs`), the rule of a good one
(`rewards.toy_general_score`), which of them become problems (`toy_problems`), their texts in the toy web
(`toy_corpus`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random
from typing import ClassVar, Literal, get_args

from r1_pipeline.data.origin import Origin
from r1_pipeline.data.toy_general_words import (
    BUT,
    COMPLIANCE,
    CURT,
    HELP,
    MEANS,
    NAMES,
    OFF,
    OVER_REFUSAL,
    PADDING,
    REFUSAL,
    REPLIES,
    REQUESTS,
    RUDE,
    THINGS,
    THOUGHTS,
    Kind,
)
from r1_pipeline.records import Domain, Language, PreferenceKind, Problem, TestCase

Manner = Literal["good", "long", "half", "name", "thing", "foreign", "hedged", "curt", "rude", "off"]
"""The manner of a reply.

`good` is a good reply; `long` a good reply with padding; `half` a part of one; `name` and `thing` have another name or
thing; `foreign` is in the other language; `hedged` refuses and helps all the same, or refuses what is harmless; `curt`
is one word; `rude` is rude; `off` misses the point. To a harmful request all but the first five and `hedged` comply.
"""
OTHER: Mapping[Language, Language] = {"en": "zh", "zh": "en"}
"""The other language of the toy world."""


@dataclass(frozen=True)
class GeneralTask:
    """A request; `name` and `thing` are indices into NAMES and THINGS, so that it exists in every language."""

    domain: ClassVar[Domain] = "general"
    tests: ClassVar[tuple[TestCase, ...]] = ()
    kind: Kind
    name: int
    thing: int

    @property
    def row(self) -> str:
        """The name of the fact within its domain, independent of language."""
        return f"{self.kind} {NAMES['en'][self.name]} {THINGS[self.kind]['en'][self.thing]}"

    @property
    def topic(self) -> str:
        """The subject of the request, without the person it names."""
        return f"{self.kind} {THINGS[self.kind]['en'][self.thing]}"

    @property
    def preference(self) -> PreferenceKind:
        """The quality for which a reply to the request is preferred."""
        return "safety" if self.kind in ("harm", "harmless") else "helpful"

    def question(self, language: Language, form: int | None = None) -> str:
        """Returns the request in the form with this index in `REQUESTS`; without an index, always in the same form."""
        forms = REQUESTS[language][self.kind]
        return self._fill(forms[sum(self.row.encode()) % len(forms) if form is None else form], language)

    def answer(self, language: Language) -> str:
        """Returns the words that a good reply must have, comma-separated."""
        name, thing = NAMES[language][self.name], THINGS[self.kind][language][self.thing]
        if self.kind == "harm":
            return ",".join(REFUSAL[language])
        return f"{MEANS[language][self.thing]},{thing}" if self.kind == "harmless" else f"{name},{thing}"

    def reply(
        self,
        manner: Manner,
        language: Language,
        draw: Random,
        form: int | None = None,
        others: Sequence[int] | None = None,
    ) -> str:
        """Returns a reply in this manner; `draw` chooses what the manner leaves open, and the form of a good reply if
        it is None.

        `others` are the indices from which another thing is drawn; None means all but the right one.
        """
        good = draw.choice(REPLIES[language][self.kind]) if form is None else REPLIES[language][self.kind][form]
        if manner == "foreign":
            return self.reply("good", OTHER[language], draw, form)
        if manner == "half":
            return _half(self._fill(good, language), draw)
        if manner in ("name", "thing") and self.kind != "harm":
            return self._with(manner, draw, others)._fill(good, language)
        text = {
            "good": good,
            "long": good + "".join(PADDING[language]),
            "hedged": good + BUT[language] if self.kind == "harm" else draw.choice(self._refusals(language)),
        }.get(manner)
        if text is None:
            plain = {"curt": CURT, "rude": RUDE, "off": OFF}.get(manner, COMPLIANCE)
            text = draw.choice((COMPLIANCE if self.kind == "harm" else plain)[language])
        return self._fill(text, language, draw.choice(HELP[language]))

    def thought(self, language: Language) -> str:
        """Returns the reasoning of a model that replies well."""
        return THOUGHTS[language][self.kind]

    def _refusals(self, language: Language) -> tuple[str, ...]:
        return OVER_REFUSAL[language][self.kind == "harmless"]

    def _with(self, part: Manner, draw: Random, others: Sequence[int] | None) -> "GeneralTask":
        """Returns the same request with another name or thing; replies to a harmless request contain no name."""
        name, thing = self.name, self.thing
        if part == "name" and self.kind != "harmless":
            name = draw.choice([other for other in range(len(NAMES["en"])) if other != name])
        else:
            known = range(len(THINGS[self.kind]["en"])) if others is None else others
            thing = draw.choice([other for other in known if other != thing])
        return GeneralTask(self.kind, name, thing)

    def _fill(self, text: str, language: Language, help_: str = "") -> str:
        means = MEANS[language][self.thing] if self.kind == "harmless" else ""
        thing = THINGS[self.kind][language][self.thing]
        return text.format(name=NAMES[language][self.name], thing=thing, means=means, help=help_)


def _half(text: str, draw: Random) -> str:
    """Returns the first quarter to three quarters of `text`, cut between words or characters."""
    pieces, joint = (text.split(), " ") if " " in text else (list(text), "")
    kept = max(1, round(len(pieces) * draw.uniform(0.25, 0.75)))
    return joint.join(pieces[:kept]).rstrip(",.!?:，。！？：")


def all_general_tasks() -> list[GeneralTask]:
    """Returns every request, in a fixed order."""
    return [
        GeneralTask(kind, name, thing)
        for kind in get_args(Kind)
        for name, thing in product(range(len(NAMES["en"])), range(len(THINGS[kind]["en"])))
    ]


def general_task_of(problem: Problem) -> GeneralTask | None:
    """Returns the request that `problem` is about; None for a problem that is not of the toy world."""
    return _by_row().get(Origin.of(problem.source).fact)


def scripted_reply(problem: Problem, manners: Mapping[Manner, float]) -> tuple[str, str] | None:
    """Returns reasoning and reply to `problem`, in a manner that the hash of its id draws with these weights.

    Returns None for a request that is not of the toy world.
    """
    task = general_task_of(problem)
    if task is None:
        return None
    draw = Random(hashlib.sha256(problem.id.encode()).digest())
    manner = draw.choices(list(manners), list(manners.values()))[0]
    return task.thought(problem.language), task.reply(manner, problem.language, draw)


@cache
def _by_row() -> dict[str, GeneralTask]:
    return {task.row: task for task in all_general_tasks()}
