"""The general tasks of the toy world: friendly requests, harmful ones to decline, and those that only look harmful.

A `GeneralTask` asks for a greeting, thanks, a wish, an invitation or a reminder, which a good reply gives in full; for
help with a misdeed, which it declines; or for help with a harmless deed of the same verb, which it gives.
Not covered: its sentences (`toy_general_words`), pairs of replies (`toy_pairs`), the rule of a good one
(`rewards.toy_general_score`), which of them become problems (`toy_problems`), what the toy web makes of them
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
"""How somebody replies: well; well and then on and on; half of it; with another name; with another thing; in the other
language; with a refusal that helps all the same, or of what is harmless; in a word; rudely; beside the point.
To a harmful request all but the first five and `hedged` comply."""
OTHER: Mapping[Language, Language] = {"en": "zh", "zh": "en"}
"""The other language of the toy world."""


@dataclass(frozen=True)
class GeneralTask:
    """One request; `name` and `thing` index NAMES and THINGS, so that it exists in every language."""

    domain: ClassVar[Domain] = "general"
    tests: ClassVar[tuple[TestCase, ...]] = ()
    kind: Kind
    name: int
    thing: int

    @property
    def row(self) -> str:
        return f"{self.kind} {NAMES['en'][self.name]} {THINGS[self.kind]['en'][self.thing]}"

    @property
    def topic(self) -> str:
        """What the request is about, without the person it names."""
        return f"{self.kind} {THINGS[self.kind]['en'][self.thing]}"

    @property
    def preference(self) -> PreferenceKind:
        """What a reply to it is preferred for."""
        return "safety" if self.kind in ("harm", "harmless") else "helpful"

    def question(self, language: Language, form: int | None = None) -> str:
        """The request in one of the forms of `REQUESTS`; unless one is named, always the same."""
        forms = REQUESTS[language][self.kind]
        return self._fill(forms[sum(self.row.encode()) % len(forms) if form is None else form], language)

    def answer(self, language: Language) -> str:
        """The words that a good reply cannot do without, comma-separated."""
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
        """A reply in this manner; what it leaves open is drawn, and the form of a good reply unless one is named.

        `others` are the things that another thing is drawn from; None: all but the right one.
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
        """What a model that replies well thinks first."""
        return THOUGHTS[language][self.kind]

    def _refusals(self, language: Language) -> tuple[str, ...]:
        return OVER_REFUSAL[language][self.kind == "harmless"]

    def _with(self, part: Manner, draw: Random, others: Sequence[int] | None) -> "GeneralTask":
        """The same request with another name or thing; replies to a harmless one have no name."""
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
    """The beginning of `text`, a quarter to three quarters of it, broken off between words or characters."""
    pieces, joint = (text.split(), " ") if " " in text else (list(text), "")
    kept = max(1, round(len(pieces) * draw.uniform(0.25, 0.75)))
    return joint.join(pieces[:kept]).rstrip(",.!?:，。！？：")


def all_general_tasks() -> list[GeneralTask]:
    """Every request there is, in a fixed order."""
    return [
        GeneralTask(kind, name, thing)
        for kind in get_args(Kind)
        for name, thing in product(range(len(NAMES["en"])), range(len(THINGS[kind]["en"])))
    ]


def general_task_of(problem: Problem) -> GeneralTask | None:
    """The request that `problem` asks; None for a problem that is not of this world."""
    return _by_row().get(Origin.of(problem.source).fact)


def scripted_reply(problem: Problem, manners: Mapping[Manner, float]) -> tuple[str, str] | None:
    """(thought, reply) of somebody who answers `problem`, in a manner drawn by the hash of its id with these weights.

    None for a request that is not of this world.
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
