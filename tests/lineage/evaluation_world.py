"""This module makes a home with one evaluation by the real runner."""

from pathlib import Path

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Completions, EvalReport
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.evaluation.runner import GradeRecipe, grade
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.sampling import SamplingRecord, SamplingSubject, sample_and_store, select_problems
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.verifier import Grader
from tests.evaluation.run_fakes import ASK, HELDOUT, FakeRun, says


def evaluated(home: Path) -> EvalReport:
    """Two problems of mathematics that are answered right, and two of logic that are not."""
    run = FakeRun(home)
    heldout = run.problems("heldout_problems", HELDOUT)

    def answer(draft: Draft) -> BuildResult:
        subject = SamplingSubject(model="r1", model_digest="the model", problems_digest=heldout.digest)
        engine = FakeEngine(lambda r: says("a", "A" if "math" in r.problem_id else "B", "chat")(r))
        chosen, _ = select_problems(HELDOUT, ASK, draft)
        return BuildResult({"rows": sample_and_store(engine, chosen, "chat", ASK, subject, draft).height})

    answers = run.add(Completions, "answers/r1", answer, inputs={"heldout": heldout})

    def score(draft: Draft) -> BuildResult:
        with Grader({"math": ChoiceVerifier(), "logic": ChoiceVerifier()}) as grader:
            asked = SamplingRecord.model_validate(answers.asked())
            grade(answers.completions(), asked, grader, HELDOUT, GradeRecipe(ks=(1,)), draft)
        return BuildResult()

    return run.add(EvalReport, "evaluation/r1", score, inputs={"answers": answers})
