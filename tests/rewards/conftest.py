"""Toy problems and completions, and one grader for all tests of the rewards."""

from collections.abc import Callable, Iterator

import pytest

from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Domain, FinishReason, Language, Problem, TestCase
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.verifier import Grader

MakeProblem = Callable[..., Problem]
MakeCompletion = Callable[..., Completion]


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    with default_grader(Runtime(threads=2)) as grader:
        yield grader


@pytest.fixture(scope="session")
def problem() -> MakeProblem:
    def make(
        answer: str | None,
        domain: Domain = "math",
        tests: tuple[tuple[str, str], ...] = (),
        language: Language = "en",
        source: str = "hand#1",
    ) -> Problem:
        cases = tuple(
            TestCase(kind="call", function="f", given=given, expected=expected, limit_s=5.0)
            for given, expected in tests
        )
        return Problem(
            id="0" * 16, question="?", answer=answer, tests=cases, domain=domain, language=language, source=source,
            licence="Apache-2.0",
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def completion() -> MakeCompletion:
    def make(text: str, finish_reason: FinishReason = "stop") -> Completion:
        return Completion(
            problem_id="0" * 16, sample_index=0, seed=0, text=text, token_ids=(1, 2), finish_reason=finish_reason,
            engine="hand",
        )  # fmt: skip

    return make
