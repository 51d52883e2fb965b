"""The toy web: short bilingual texts in which people work tasks out, mostly badly.

A text is a prompt in one of the two templates and somebody's reply. Most people are hasty: they stop after the first
step and take it for the answer, or guess an option. An author who works through every step is right unless a slip
happens; some estimate the answer first, and correct the estimate where the steps do not bear it out. Careful authors
mix languages more often, and slip less when they do (so that reinforcement, left alone, mixes); many authors drop tags,
boxes or fences. A base that learns this web well therefore holds the skill and seldom shows it: that is what
reinforcement brings out.
Only facts on the training side of the split occur. Not covered: tasks (`toy_tasks`, `toy_general`), training
(`pretrain`).
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from r1_pipeline.data.sources import source_of
from r1_pipeline.data.templates import (
    ANSWER_CLOSE,
    ANSWER_OPEN,
    TAGS,
    THINK_CLOSE,
    THINK_OPEN,
    TemplateName,
    render,
    solution,
    summarize,
)
from r1_pipeline.data.toy_general import GeneralTask, Manner
from r1_pipeline.data.toy_problems import TOY_LANGUAGES, ProblemsRecipe, training_tasks
from r1_pipeline.data.toy_tasks import Style, ToyTask
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Language

WORDS: Mapping[str, Mapping[Language, str]] = {
    "first": {"en": "first ", "zh": "先 "},
    "guess": {"en": "maybe ", "zh": "大概 "},
    "check": {"en": ", check ", "zh": "，查 "},
    "then": {"en": ", then ", "zh": "，再 "},
    "so": {"en": ", so ", "zh": "，选 "},
    "right": {"en": ", yes ", "zh": "，对 "},
    "wrong": {"en": ", no ", "zh": "，不对 "},
}
OMISSIONS = ((ANSWER_OPEN, ANSWER_CLOSE),) * 4 + ((THINK_OPEN, THINK_CLOSE), *((tag,) for tag in TAGS))
"""What an untidy text may leave out; most often it just does not mark its answer."""


T = TypeVar("T", bound=str)


class ToyRecipe(Recipe):
    """How bad the web is."""

    problems: ProblemsRecipe
    """The facts that people write about."""
    seed: int
    """Of every draw."""
    texts: int
    """How many texts."""
    domains: dict[Domain, float]
    """Relative frequency of each domain."""
    zero_share: float
    """Share of texts in the R1-Zero template; the others are chat."""
    untidy_share: float
    """Share of texts that leave out tags, or the box or fence in their place."""
    styles: dict[Style, float]
    """Relative frequency of each way to think."""
    mixed: dict[Style, float]
    """Share of the texts of each style that mix the two languages word by word."""
    slip: float
    """Chance of a slip at each calculation or choice."""
    notice: float
    """Chance that somebody who checks an estimate notices a slip of the check itself, before it is written."""
    mixed_care: float
    """Factor on that chance in mixed texts; below 1 makes mixing pay."""
    manners: dict[Manner, float]
    """Relative frequency of each manner of reply to a general task."""


class Text(NamedTuple):
    """A text of the web."""

    task: ToyTask | GeneralTask
    """What it is about."""
    language: Language
    template: TemplateName
    reply: str


class Author:
    """A `Voice` with a language, a habit of mixing, and a chance to slip."""

    def __init__(
        self, style: Style, language: Language, mixed: bool, slip: float, notice: float, draw: random.Random
    ) -> None:
        self.style = style
        self._languages = TOY_LANGUAGES if mixed else (language,)
        self._slip = slip
        self._notice = notice
        self._draw = draw

    def say(self, word: str) -> str:
        return WORDS[word][self._draw.choice(self._languages)]

    def waver(self, options: Sequence[str]) -> Sequence[str]:
        return [*self._draw.sample(options, len(options)), self._draw.choice(options)]

    def settle(self, right: str, slip: str) -> str:
        chance = self._slip * (1 - self._notice) if self.style == "check" else self._slip
        return slip if self._draw.random() < chance else right

    def estimate(self, right: str, slips: Sequence[str], calculations: int) -> str:
        slipped = any(self._draw.random() < self._slip for _ in range(calculations))
        return self._draw.choice(slips) if slipped else right


def toy_texts(recipe: ToyRecipe) -> list[tuple[str, str]]:
    """(prompt, reply) of every text, in order of writing."""
    return [(render(text.template, text.task.question(text.language)), text.reply) for text in web_texts(recipe)]


def web_texts(recipe: ToyRecipe) -> Iterator[Text]:
    """Every text, in order of writing."""
    draw = random.Random(recipe.seed)
    tasks = training_tasks(recipe.problems)
    by_domain = {domain: [task for task in tasks if task.domain == domain] for domain in recipe.domains}
    for domain in _drawn(draw, recipe.domains, recipe.texts):
        task = draw.choice(by_domain[domain])
        yield _text(recipe, task, draw.choice(TOY_LANGUAGES), draw)


def texts_about(recipe: ToyRecipe, asked: Iterable[tuple[ToyTask | GeneralTask, Language]]) -> Iterator[Text]:
    """A text about each task in the language given with it, by the authors of `recipe`."""
    draw = random.Random(recipe.seed)
    return (_text(recipe, task, language, draw) for task, language in asked)


def text_sources(recipe: ToyRecipe) -> list[dict[str, str | int]]:
    """`source`, `licence`, `domain` of the facts that the texts are about, and `rows`, how many texts."""
    domains = Counter(_drawn(random.Random(recipe.seed), recipe.domains, recipe.texts))
    return [
        {"source": source_of(domain).name, "licence": source_of(domain).licence, "domain": domain, "rows": rows}
        for domain, rows in sorted(domains.items())
    ]


def _text(recipe: ToyRecipe, task: ToyTask | GeneralTask, language: Language, draw: random.Random) -> Text:
    template: TemplateName = "zero" if draw.random() < recipe.zero_share else "chat"
    if isinstance(task, GeneralTask):
        reasoning = task.thought(language)
        final = task.reply(_drawn(draw, recipe.manners, 1)[0], language, draw)
    else:
        style = _drawn(draw, recipe.styles, 1)[0]
        mixed = draw.random() < recipe.mixed[style]
        slip = recipe.slip * (recipe.mixed_care if mixed else 1)
        reasoning, final = task.solve(language, Author(style, language, mixed, slip, recipe.notice, draw))
    omitted = draw.choice(OMISSIONS) if draw.random() < recipe.untidy_share else ()
    if template == "chat" and ANSWER_OPEN not in omitted:
        final = summarize(task.domain, final)
    reply = solution(template, reasoning, final)
    for tag in omitted:
        reply = reply.replace(tag, "")
    return Text(task, language, template, reply)


def _drawn(draw: random.Random, weights: Mapping[T, float], count: int) -> list[T]:
    return draw.choices(list(weights), list(weights.values()), k=count)
