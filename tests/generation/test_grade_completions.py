"""Verdicts of a cluster's nodes are signed by the verifiers that the fingerprint names, or refused."""

import re

import polars as pl
import pytest

from r1_pipeline.errors import GraderError
from r1_pipeline.generation.grade_completions import require_own_verifiers
from r1_pipeline.records import Domain, Problem
from r1_pipeline.rewards.keywords import KeywordsVerifier
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader


def problem(id_: str, domain: Domain) -> Problem:
    return Problem(id=id_, question="?", answer="a", tests=(), domain=domain, language="en", source="s", licence="MIT")


def test_a_node_that_grades_with_another_version_is_found_out() -> None:
    choice, keywords = ChoiceVerifier(), KeywordsVerifier(max_words=60)
    grader = Grader({"stem": choice, "general": keywords})
    problems = [problem("1", "stem"), problem("2", "general")]
    own = f"{choice.name}@{choice.version}"
    same = pl.DataFrame({"problem_id": ["1", "1"], "verifier": [own, own]})
    require_own_verifiers(same, problems, grader)
    mixed = pl.DataFrame({"problem_id": ["1", "1"], "verifier": [own, "choice@0"]})
    with pytest.raises(
        GraderError, match=rf"graded with choice@0, this machine grades with {re.escape(own)}; install the same"
    ):
        require_own_verifiers(mixed, problems, grader)
