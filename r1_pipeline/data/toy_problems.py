"""This module enumerates the tasks of the toy world, and turns a task into a `Problem` in each language.

Sums come from reasoning-gym's `chain_sum`, re-worded here; all others are enumerated, and a seeded draw chooses among
them. Sets of reasoning-gym stand in place of the toy problems of their domains (`gym_sets`). Not covered: questions and
solutions of tasks (`toy_tasks`, `toy_general`), and the split (`split`).
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated

from r1_pipeline.data.gym_sets import LICENCE, GymRow, GymSet, gym_rows, gym_source
from r1_pipeline.data.origin import Origin
from r1_pipeline.data.sources import Source, source_of
from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.toy_general import GeneralTask, all_general_tasks
from r1_pipeline.data.toy_tasks import DIRECTIONS, LAWS, SYMBOLS, TURNS, Product, Program, Sum, ToyTask, Turn
from r1_pipeline.recipe import AddedField, Recipe, canonical_json
from r1_pipeline.records import Domain, Language, Problem, PromptKind, TestCase

DRAWS_PER_SUM = 12
"""The number of sums drawn for each one needed; most repeat another or leave the range."""
TOY_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_KINDS: Mapping[str, PromptKind] = {"harm": "safety", "harmless": "harmless"}
"""The kind of prompt of each kind of general task whose prompt is not of the kind helpful."""


class ProblemsRecipe(Recipe):
    """The recipe of the toy world's problems."""

    seed: int
    """The seed of every draw below."""
    sums: tuple[int, ...]
    """The maximum numbers of facts of mathematics with one step, two steps, …; each makes one problem in each
    language."""
    programs: int
    """The maximum number of facts of code."""
    products: int
    """The maximum number of facts of science."""
    digits: int
    """The maximum number of digits of a term in a sum."""
    largest_sum: int
    """The largest value of a sum and of its partial sums; the tiny model needs a token for each number."""
    largest_factor: int
    """The largest factor of a product and number in a program."""
    turns: int
    """The number of turns in a problem of logic; all 4 * 4^turns of them are facts, except those that the first turn
    answers."""
    heldout_share: float
    """The share of the facts held out from training, in (0, 1)."""
    sets: Annotated[tuple[GymSet, ...], AddedField()] = ()
    """Sets of reasoning-gym, which replace the toy problems of their domains."""


def problem_id(question: str, answer: str | None, tests: Sequence[TestCase], domain: Domain) -> str:
    """Returns 16 hex digits of the hash of the content."""
    content = [question, answer, [t.model_dump() for t in tests], domain]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def generate_problems(recipe: ProblemsRecipe) -> list[Problem]:
    """Returns every problem of the recipe in a fixed order: sets, then toy problems by task, English before Chinese."""
    replaced = {drawn.domain for drawn in recipe.sets}
    tasks = [task for task in all_tasks(recipe) if task.domain not in replaced]
    return [
        *(_gym_problem(drawn, row) for drawn in recipe.sets for row in gym_rows(drawn)),
        *(to_problem(task, language) for task in tasks for language in TOY_LANGUAGES),
    ]


def source_in(recipe: ProblemsRecipe, domain: Domain) -> Source:
    """Returns the source of the recipe's problems of a domain."""
    sets = [drawn for drawn in recipe.sets if drawn.domain == domain]
    return gym_source(sets) if sets else source_of(domain)


def to_problem(task: ToyTask | GeneralTask, language: Language) -> Problem:
    """Returns the problem that poses `task` in `language`, with its answer and source."""
    source = source_of(task.domain)
    question, answer = task.question(language), task.answer(language)
    return Problem(
        id=problem_id(question, answer, task.tests, task.domain),
        question=question,
        answer=answer,
        tests=task.tests,
        domain=task.domain,
        language=language,
        source=f"{source.name}#{task.row}",
        licence=source.licence,
        kind=_KINDS.get(task.kind) if isinstance(task, GeneralTask) else None,
    )


def _gym_problem(drawn: GymSet, row: GymRow) -> Problem:
    return Problem(
        id=problem_id(row.question, row.answer, (), drawn.domain),
        question=row.question,
        answer=row.answer,
        tests=(),
        domain=drawn.domain,
        language="en",
        source=f"{drawn.generator}#{row.fact}",
        licence=LICENCE,
    )


def steps_of(problem: Problem) -> int | None:
    """Returns the number of calculations in a sum of the toy world; None for any other problem."""
    origin = Origin.of(problem.source)
    if origin.source != source_of(Sum.domain).name:
        return None
    return len(origin.fact.split()) // 2


def product_of(source: str) -> Product | None:
    """Returns the toy world's multiple choice that a row of `source` is about; None for any other row."""
    origin = Origin.of(source)
    if origin.source != source_of(Product.domain).name:
        return None
    law, left, right, _, options = origin.fact.split()
    return Product(law, (int(left), int(right)), tuple(map(int, options.split("/"))))


def all_tasks(recipe: ProblemsRecipe) -> list[ToyTask | GeneralTask]:
    """Returns every fact of the recipe, domain by domain, without duplicates."""
    draw = random.Random(recipe.seed)
    programs = _programs(recipe)
    return [
        *_sums(recipe),
        *draw.sample(programs, min(recipe.programs, len(programs))),
        *_products(recipe, draw),
        *_turns(recipe),
        *all_general_tasks(),
    ]


def training_tasks(recipe: ProblemsRecipe) -> list[ToyTask | GeneralTask]:
    """Returns the facts on the training side of the split."""
    return [i for i in all_tasks(recipe) if not is_heldout(f"#{i.row}", recipe.heldout_share)]


def _sums(recipe: ProblemsRecipe) -> list[ToyTask]:
    return [task for steps, facts in enumerate(recipe.sums, 1) if facts for task in _sums_of(recipe, steps, facts)]


def _sums_of(recipe: ProblemsRecipe, steps: int, facts: int) -> list[ToyTask]:
    import reasoning_gym

    rows = reasoning_gym.create_dataset(
        "chain_sum",
        size=DRAWS_PER_SUM * facts,
        seed=recipe.seed,
        min_terms=steps + 1,
        max_terms=steps + 1,
        min_digits=1,
        max_digits=recipe.digits,
    )
    names = {symbol: name for name, symbol in SYMBOLS.items()}
    sums: dict[str, ToyTask] = {}
    for row in rows:
        first, *rest = row["metadata"]["expression"].split()
        task = Sum((int(first), *map(int, rest[1::2])), tuple(names[symbol] for symbol in rest[::2]))
        if min(task.values) >= 0 and max(*task.values, *task.terms) <= recipe.largest_sum:
            sums.setdefault(task.row, task)
    return list(sums.values())[:facts]


def _programs(recipe: ProblemsRecipe) -> list[ToyTask]:
    numbers = range(2, recipe.largest_factor + 1)
    return [Program((p, q), (m, n)) for p, q in product(SYMBOLS, repeat=2) for m, n in product(numbers, repeat=2)]


def _products(recipe: ProblemsRecipe, draw: random.Random) -> list[ToyTask]:
    numbers = range(2, recipe.largest_factor + 1)
    values = sorted({a * b for a, b in product(numbers, repeat=2)})
    facts = list(product(LAWS, numbers, numbers))
    tasks: dict[str, ToyTask] = {}
    for law, a, b in (draw.choice(facts) for _ in range(2 * recipe.products)):
        options = [a * b, *draw.sample([v for v in values if v != a * b], 3)]
        draw.shuffle(options)
        task = Product(law, (a, b), tuple(options))
        tasks.setdefault(task.row, task)
    return list(tasks.values())[: recipe.products]


def _turns(recipe: ProblemsRecipe) -> list[ToyTask]:
    return [
        Turn(start, turns)
        for start in range(len(DIRECTIONS["en"]))
        for turns in product(TURNS, repeat=recipe.turns)
        if recipe.turns == 1 or sum(TURNS[turn] for turn in turns[1:]) % 4
    ]
