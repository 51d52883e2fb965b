"""A set of problems does not depend on what its grader happened to be short of."""

import pytest

from r1_pipeline.errors import GraderError
from r1_pipeline.records import Outcome
from r1_pipeline.rewards.references import sound_problems
from r1_pipeline.rewards.verifier import Grader, verdict


class Failing:
    """A verifier that fails for the first verdicts on each problem, then says yes."""

    name, version = "failing", "1"

    def __init__(self, failures: int) -> None:
        self.left = {"1": failures, "2": 0}

    def judge(self, problem, final):
        self.left[problem.answer] -= 1
        failed = self.left[problem.answer] >= 0
        return verdict(self, Outcome.GRADER_ERROR if failed else Outcome.CORRECT, "no time" if failed else "")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("domain", ["math", "code"])
@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_reference_on_which_the_grader_failed_is_judged_again_and_keeps_its_place(domain, failures, problem):
    rows = [problem(answer, domain) for answer in ("1", "2")]
    assert sound_problems(Grader({domain: Failing(failures)}), rows, threads=2) == (rows, [])


def test_a_formula_without_a_value_in_time_is_set_aside_and_a_program_that_cannot_be_run_stops_the_set(problem):
    grader = Grader({"math": Failing(99), "code": Failing(99)})
    kept, aside = sound_problems(grader, [problem("1"), problem("2")], threads=2)
    assert [p.answer for p in kept] == ["2"] and [(row.reason, row.detail) for row in aside] == [
        ("reference_grader_error", "no time")
    ]
    with pytest.raises(GraderError, match=r"the reference of hand#1 cannot be run: no time; then run again"):
        sound_problems(grader, [problem("1", "code")], threads=2)
