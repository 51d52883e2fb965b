"""The toy web consists of short bilingual texts in which people solve tasks, mostly badly.

A text is a prompt in one of the two templates and somebody's reply. Most authors are hasty: they take the first
step or two for the answer, or guess an option. An author who works through every step is right unless a slip
happens; some estimate the answer first, and correct the estimate where the steps do not confirm it. Careful authors mix
languages more often, and slip less when they do (so that reinforcement, if nothing prevents it, favours mixing); many
authors omit tags, boxes or fences. A base model that learns this web well therefore has the skill and seldom shows it;
reinforcement learning brings it out.
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
"""The tags that an untidy text may omit; most often it just does not mark its answer."""


T = TypeVar("T", bound=str)


class ToyRecipe(Recipe):
    """The recipe of the toy web: its size, and how well its authors reason."""

    problems: ProblemsRecipe
    """The recipe of the facts that people write about."""
    seed: int
    """The seed of every draw."""
    texts: int
    """The number of texts."""
    domains: dict[Domain, float]
    """The relative frequency of each domain."""
    zero_share: float
    """The share of texts in the R1-Zero template, in [0, 1]; the others are chat."""
    untidy_share: float
    """The share of texts that omit tags, or the box or fence that replaces them, in [0, 1]."""
    styles: dict[Style, float]
    """The relative frequency of each reasoning style."""
    hasty_steps: int
    """The maximum number of steps of a sum that a hasty author takes, who never takes the last of several."""
    mixed: dict[Style, float]
    """The share of the texts of each style that mix the two languages word by word, in [0, 1]."""
    slip: float
    """The probability of a slip at each calculation or choice."""
    notice: float
    """The probability that an author who checks an estimate notices a slip of the check itself before it is written."""
    mixed_care: float
    """The factor on `slip` in mixed texts; below 1 it makes mixing pay."""
    manners: dict[Manner, float]
    """The relative frequency of each manner of reply to a general task."""


class Text(NamedTuple):
    """A text of the toy web."""

    task: ToyTask | GeneralTask
    """The task that the text is about."""
    language: Language
    template: TemplateName
    reply: str


class Author:
    """An author is a `Voice` with a language, possibly a habit of mixing languages, and a probability of slips."""

    def __init__(
        self,
        style: Style,
        language: Language,
        *,
        mixed: bool,
        hasty_steps: int,
        slip: float,
        notice: float,
        draw: random.Random,
    ) -> None:
        self.style = style
        self._hasty_steps = hasty_steps
        self._languages = TOY_LANGUAGES if mixed else (language,)
        self._slip = slip
        self._notice = notice
        self._draw = draw

    def say(self, word: str) -> str:
        return WORDS[word][self._draw.choice(self._languages)]

    def waver(self, options: Sequence[str]) -> Sequence[str]:
        return [*self._draw.sample(options, len(options)), self._draw.choice(options)]

    def pace(self, steps: int) -> int:
        return self._draw.randint(1, max(1, min(self._hasty_steps, steps - 1))) if self.style == "hasty" else steps

    def settle(self, right: str, slip: str) -> str:
        chance = self._slip * (1 - self._notice) if self.style == "check" else self._slip
        return slip if self._draw.random() < chance else right

    def estimate(self, right: str, slips: Sequence[str], calculations: int) -> str:
        slipped = any(self._draw.random() < self._slip for _ in range(calculations))
        return self._draw.choice(slips) if slipped else right


def toy_texts(recipe: ToyRecipe) -> list[tuple[str, str]]:
    """Returns the prompt and the reply of every text, in order of writing."""
    return [(render(text.template, text.task.question(text.language)), text.reply) for text in web_texts(recipe)]


def web_texts(recipe: ToyRecipe) -> Iterator[Text]:
    """Yields every text, in order of writing."""
    draw = random.Random(recipe.seed)
    tasks = training_tasks(recipe.problems)
    by_domain = {domain: [task for task in tasks if task.domain == domain] for domain in recipe.domains}
    for domain in _drawn(draw, recipe.domains, recipe.texts):
        task = draw.choice(by_domain[domain])
        yield _text(recipe, task, draw.choice(TOY_LANGUAGES), draw)


def texts_about(recipe: ToyRecipe, tasks: Iterable[tuple[ToyTask | GeneralTask, Language]]) -> Iterator[Text]:
    """Yields a text about each task in the language given with it, by the authors of `recipe`."""
    draw = random.Random(recipe.seed)
    return (_text(recipe, task, language, draw) for task, language in tasks)


def text_sources(recipe: ToyRecipe) -> list[dict[str, str | int]]:
    """Returns `source`, `licence` and `domain` of the facts that the texts are about, and `rows`, the number of
    texts."""
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
        author = Author(
            style,
            language,
            mixed=mixed,
            hasty_steps=recipe.hasty_steps,
            slip=slip,
            notice=recipe.notice,
            draw=draw,
        )
        reasoning, final = task.solve(language, author)
    omitted = draw.choice(OMISSIONS) if draw.random() < recipe.untidy_share else ()
    if template == "chat" and ANSWER_OPEN not in omitted:
        final = summarize(task.domain, final)
    reply = solution(template, reasoning, final)
    for tag in omitted:
        reply = reply.replace(tag, "")
    return Text(task, language, template, reply)


def _drawn(draw: random.Random, weights: Mapping[T, float], count: int) -> list[T]:
    return draw.choices(list(weights), list(weights.values()), k=count)
