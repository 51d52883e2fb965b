"""This verifier stands for the judges of a benchmark: no rule compares replies to its problems.

It says `unreferenced` of every reply; `evaluation.judging` puts the verdicts of the benchmark's judges in their place.
"""

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.verifier import MODEL_JUDGES, verdict


class JudgedByModel:
    """The verifier of problems whose replies a model judges."""

    name = MODEL_JUDGES[0]
    version = "1"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Returns `unreferenced`, or `ungradable` if the reference is empty."""
        if problem.answer == "":
            return verdict(self, Outcome.UNGRADABLE, "the reference answer is empty")
        return verdict(self, Outcome.UNREFERENCED, "a benchmark's judges compare replies to this problem", final)

    def close(self) -> None:
        """Does nothing: this verifier holds no resources."""
