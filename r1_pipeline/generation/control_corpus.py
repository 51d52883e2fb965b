"""The control corpus is written by the toy world's own authors, as large as another corpus; it is the control of
distillation.

A model that is tuned on a teacher's corpus also improves by more text alone, and by right solutions of any origin. So
the same student is tuned on as many tokens of either: texts of the web by careful authors, or the world's own solutions
of the problems in the teacher's corpus. The recipe sets how careful they are. Every row is graded, and a row that is
not right is dropped. Tokens are those of the training loss, counted with the student's tokenizer.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Literal

from r1_pipeline.data.templates import split_reply
from r1_pipeline.data.toy_corpus import Text, ToyRecipe, texts_about, web_texts
from r1_pipeline.data.toy_problems import TOY_LANGUAGES, to_problem, training_tasks
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.scripted_replies import scripted_sample
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Outcome, Sample
from r1_pipeline.rewards.verifier import Grader

CountTokens = Callable[[str], int]
END = 1
"""The tokens of the training loss after a response: its end-of-sequence token."""


class ToyCorpusRecipe(Recipe):
    """The recipe of a control corpus: its authors, its problems, its size."""

    web: ToyRecipe
    """The recipe of the authors, who use the chat form, as a corpus does."""
    about: Literal["web", "corpus"]
    """The problems that the texts are about: facts drawn as the web draws them, or the problems of the other corpus,
    row by row and repeated from the first after the last."""
    tokens: float
    """The number of tokens written, as a multiple of those of the other corpus."""


def toy_corpus(
    recipe: ToyCorpusRecipe,
    corpus: Iterable[tuple[str, str]],
    domains: Sequence[Domain],
    grader: Grader,
    count_tokens: CountTokens,
) -> tuple[list[Sample], Counter[str]]:
    """Returns the rows and the counts of drop reasons; the rows are as many as fit into the tokens of `corpus`.

    `corpus` has the problem id and the response of each row of the other corpus, `domains` its domains. Raises
    `RecipeError` for a problem that is not of the toy world, a web that is too short, or one that is not in the chat
    form.
    """
    if recipe.web.zero_share:
        raise RecipeError(f"a corpus is in the chat form; set web.zero_share to 0, it is {recipe.web.zero_share}")
    count = cache(count_tokens)
    rows = list(corpus)
    left = recipe.tokens * sum(count(response) + END for _, response in rows)
    kept: list[Sample] = []
    drops: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    judge = cache(lambda problem, response: grader.judge(problem, split_reply("chat", response).final or ""))
    for text in _texts(recipe, [problem for problem, _ in rows], domains):
        problem = to_problem(text.task, text.language)
        verdict = judge(problem, text.reply)
        if verdict.outcome != Outcome.CORRECT:
            drops[verdict.outcome] += 1
            if not kept and drops.total() > len(rows):
                raise RecipeError(f"the texts of the web are not right ({dict(drops)}); take more careful authors")
            continue
        tokens = count(text.reply)
        left -= tokens + END
        if left < 0:
            return kept, drops
        kept.append(scripted_sample(problem, text.reply, verdict, tokens, seen[problem.id]))
        seen[problem.id] += 1
    raise RecipeError(f"the {recipe.web.texts} texts of the web are too few by {left:.0f} tokens; raise web.texts")


def _texts(recipe: ToyCorpusRecipe, problems: Sequence[str], domains: Sequence[Domain]) -> Iterator[Text]:
    if recipe.about == "web":
        shares = {domain: share for domain, share in recipe.web.domains.items() if domain in domains}
        return web_texts(recipe.web.model_copy(update={"domains": shares}))
    tasks = training_tasks(recipe.web.problems)
    known = {to_problem(task, language).id: (task, language) for task in tasks for language in TOY_LANGUAGES}
    if unknown := [problem for problem in problems if problem not in known]:
        raise RecipeError(f"problem {unknown[0]} of the corpus is not of the toy world, which has no solution of it")
    return texts_about(recipe.web, (known[problem] for problem in itertools.cycle(problems)))
