"""The control corpus has as many tokens as another, and is right, tidy and in one language."""

from collections.abc import Iterator
from typing import Any

import pytest

from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.templates import split_reply
from r1_pipeline.data.toy_corpus import ToyRecipe
from r1_pipeline.data.toy_problems import generate_problems
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.control_corpus import END, ToyCorpusRecipe, toy_corpus
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.controls import with_controls
from r1_pipeline.records import Outcome, Problem, Sample
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.verifier import Grader

PROFILE = with_controls(load_profile("smoke", 0))
RECIPES = {name: PROFILE.recipes[name] for name in ("clean_web_text", "solutions")}
DOMAINS = ("math", "stem", "logic", "general")


def web(name: str) -> ToyRecipe:
    recipe = RECIPES[name]
    assert isinstance(recipe, ToyCorpusRecipe)
    return recipe.web


KNOWN = {problem.id: problem for problem in generate_problems(web("solutions").problems)}


def asked(count: int) -> list[Problem]:
    """Returns the first problems of the training side in every domain that needs no sandbox."""
    train = [p for p in KNOWN.values() if not is_heldout(p.source, web("solutions").problems.heldout_share)]
    return [p for domain in DOMAINS for p in [p for p in train if p.domain == domain][:count]]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with default_grader(PROFILE.runtime) as opened:
        yield opened


def written(name: str, corpus: list[tuple[str, str]], grader: Grader, **change: Any) -> list[Sample]:
    recipe = RECIPES[name].model_copy(update=change)
    assert isinstance(recipe, ToyCorpusRecipe)
    samples, drops = toy_corpus(recipe, corpus, DOMAINS, grader, len)
    assert not drops
    return samples


def test_it_has_the_tokens_of_the_other_corpus_within_a_row(grader: Grader) -> None:
    corpus = [(problem.id, "x" * 50) for problem in asked(5)]
    for name in RECIPES:
        samples = written(name, corpus, grader)
        usage = sum(sample.tokens + END for sample in samples)
        assert 0 <= len(corpus) * (50 + END) - usage <= max(len(sample.response) for sample in samples) + 100
        assert all(sample.tokens == len(sample.response) for sample in samples)
        assert len({sample.sample_id for sample in samples}) == len(samples)
        half = written(name, corpus, grader, tokens=0.5)
        assert half == samples[: len(half)] and sum(s.tokens + END for s in half) <= len(corpus) * (50 + END) / 2


def test_every_row_is_right_tidy_and_in_the_language_of_its_question(grader: Grader) -> None:
    corpus = [(problem.id, "x" * 90) for problem in asked(5)]
    for name in RECIPES:
        for sample in written(name, corpus, grader):
            parts = split_reply("chat", sample.response)
            assert sample.outcome == Outcome.CORRECT and sample.language_share == 1.0
            assert parts.reasoning and parts.final and sample.question == KNOWN[sample.problem_id].question
            assert not is_heldout(sample.source, web(name).problems.heldout_share)


def test_solutions_follow_the_rows_of_the_corpus_and_begin_again_after_the_last(grader: Grader) -> None:
    problems = asked(2)
    samples = written("solutions", [(problem.id, "x" * 200) for problem in problems], grader)
    ids = [problem.id for problem in problems]
    assert [sample.problem_id for sample in samples[: len(ids) + 2]] == [*ids, *ids[:2]]
    assert [sample.sample_index for sample in samples[: len(ids) + 1]] == [0] * len(ids) + [1]
    assert samples[0].response == samples[len(ids)].response  # nothing is drawn: a solution is the same each time


def test_what_cannot_be_written_is_refused_in_a_line(grader: Grader) -> None:
    with pytest.raises(RecipeError, match=r"^problem strange of the corpus is not of the toy world"):
        written("solutions", [("strange", "x")], grader)
    with pytest.raises(RecipeError, match=r"^the 3 texts of the web are too few by \d+ tokens; raise web.texts$"):
        short = web("clean_web_text").model_copy(update={"texts": 3})
        written("clean_web_text", [(asked(1)[0].id, "x" * 1000)], grader, web=short)
    with pytest.raises(RecipeError, match=r"set web\.zero_share to 0, it is 0\.6$"):
        mixed = web("clean_web_text").model_copy(update={"zero_share": 0.6})
        written("clean_web_text", [(asked(1)[0].id, "x")], grader, web=mixed)
    with pytest.raises(RecipeError, match=r"are not right .*; take more careful authors$"):
        careless = web("solutions").model_copy(update={"slip": 1.0})
        written("solutions", [(p.id, "x" * 90) for p in asked(5) if p.domain == "math"], grader, web=careless)
