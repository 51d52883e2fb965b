"""Problems of reasoning-gym: sets that its generators make, each with its settings and a seed.

Questions and answers are taken as they are. Two questions that consist of the same words in another order, such as
`12 * 34` and `34 * 12`, are about one fact, so that both are on the same side of the split.
Not covered: problems in our own words (`toy_problems`), whether a reference passes its verifier (`curation`).
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from r1_pipeline.data.sources import Source
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Recipe, installed_version
from r1_pipeline.records import Domain

LICENCE = "Apache-2.0"


class GymSet(Recipe):
    """A set of problems of one generator, in English."""

    domain: Domain
    dataset: str
    """The name of the generator in reasoning-gym."""
    settings: Mapping[str, int | float | str]
    """Its settings; it chooses the others itself."""
    problems: int
    """The number of problems drawn; those that repeat another are left out."""
    seed: int

    @property
    def generator(self) -> str:
        """The name of the generator with the version of the library."""
        return f"reasoning-gym/{self.dataset}@{installed_version('reasoning-gym')}"


class GymRow(NamedTuple):
    """A problem as the library makes it."""

    question: str
    answer: str
    fact: str
    """The hash, in 16 hex digits, that questions about the same fact share."""


def gym_rows(drawn: GymSet) -> Iterator[GymRow]:
    """Yields the different questions of a set, in the order of the draw.

    Raises `RecipeError` for a generator or settings that reasoning-gym does not have.
    """
    import reasoning_gym

    try:
        rows = reasoning_gym.create_dataset(drawn.dataset, size=drawn.problems, seed=drawn.seed, **dict(drawn.settings))
    except (ValueError, TypeError, AssertionError) as error:
        raise RecipeError(f"reasoning-gym makes no set {drawn.dataset!r} of {dict(drawn.settings)}: {error}") from error
    seen = set()
    for row in rows:
        question = row["question"].strip()
        if question not in seen:
            seen.add(question)
            words = " ".join(sorted(re.findall(r"\w+|[^\w\s]", question)))
            yield GymRow(question, str(row["answer"]).strip(), hashlib.sha256(words.encode()).hexdigest()[:16])


def gym_source(sets: Sequence[GymSet]) -> Source:
    """Returns the source of the sets of one domain."""
    names = sorted({drawn.generator for drawn in sets})
    return Source(name=" + ".join(names), licence=LICENCE, about="problems of reasoning-gym, in its own words")
