"""The runner with a fake engine and a real grader: scores worked out by hand, and scored again by another verifier."""

from pathlib import Path

import pytest

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.tables import read_table
from r1_pipeline.errors import GraderError
from r1_pipeline.evaluation.runner import EvaluateRecipe, GradeRecipe, grade
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.generation.fake_engine import FakeEngine
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord, SamplingSubject, sample_and_store
from r1_pipeline.records import STORED, Domain, Outcome, Problem, Request, Sampling, Verdict
from r1_pipeline.rewards.verifier import Grader, verdict


class Literally:
    """Accepts answers equal to the reference; the answer `broken` is a grader error."""

    name = "literal"

    def __init__(self, version: str = "1", accepts: str | None = None) -> None:
        self.version = version
        self._accepts = accepts

    def judge(self, problem: Problem, final: str) -> Verdict:
        if "broken" in final:
            return verdict(self, Outcome.GRADER_ERROR, "broke")
        right = f"\\boxed{{{problem.answer}}}" in final or final == self._accepts
        return verdict(self, Outcome.CORRECT if right else Outcome.WRONG, "", final)

    def close(self) -> None:
        pass


def problem(name: str, answer: str, domain: Domain = "math") -> Problem:
    return Problem(
        id=name, question=name, answer=answer, tests=(), domain=domain, language="en", source="t", licence="CC0-1.0"
    )


PROBLEMS = [problem("m0", "1"), problem("m1", "2"), problem("g0", "hi", "general")]
GOOD, MIXED = "<think>one and two words</think>", "<think>one 两个词语</think>"
REPLIES = {
    ("m0", 0): GOOD + "\\boxed{1}",
    ("m0", 1): GOOD + "\\boxed{1}",
    ("m0", 2): GOOD + "\\boxed{9}",
    ("m0", 3): "no tags at all",
    ("m1", 0): MIXED + "\\boxed{2}",
    ("m1", 1): GOOD + "\\boxed{3}",
    ("m1", 2): GOOD + "\\boxed{3}",
    ("m1", 3): GOOD + "\\boxed{broken}",
}
ASK = SamplingRecipe(
    sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=64),
    samples=4,
    problems={"math": 2, "general": 1},
    seed=0,
)
GRADE = GradeRecipe(ks=(1, 2))
SUBJECT = SamplingSubject(model="r1", model_digest="d" * 64, problems_digest="p" * 64)


def replies(request: Request) -> str:
    return REPLIES.get((request.problem_id, request.sample_index), GOOD + "\\boxed{hi}")


def grader(version: str = "1", accepts: str | None = None) -> Grader:
    judge = Literally(version, accepts)
    return Grader({"math": judge, "general": judge, "code": judge})


def run(draft: Draft, engine: FakeEngine | None = None, recipe: SamplingRecipe = ASK) -> EvalScores:
    completions = sample_and_store(engine or FakeEngine(replies), PROBLEMS, "chat", recipe, SUBJECT, draft)
    return grade(completions, asked(draft), grader(), PROBLEMS, GRADE, draft)


def asked(draft: Draft) -> SamplingRecord:
    return SamplingRecord.model_validate_json((draft.path / "asked.json").read_text())


def test_scores_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    scores = run(bare_draft(tmp_path))
    maths = scores.by_domain["math"]
    # m0: 2 of 4 right; m1: 1 of the 3 that have a score.
    assert maths.pass_at_1 == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert maths.pass_at_k[2] == pytest.approx(((1 - 1 / 6) + (1 - 1 / 3)) / 2)
    # m0 votes 1, 1, 9 and one stray line; m1 votes 2, 3, 3.
    assert maths.cons_at_k == 0.5
    assert maths.format_rate == pytest.approx(7 / 8)
    assert (maths.problems, maths.n) == (2, 7)
    assert maths.outcomes == {Outcome.CORRECT: 3, Outcome.WRONG: 4, Outcome.GRADER_ERROR: 1}
    # One reply thinks one English and two Chinese words.
    assert maths.language_consistency == pytest.approx((7 + 1 / 3) / 8)


def test_overall_is_the_mean_over_domains_and_form_only_over_reasoning(tmp_path: Path) -> None:
    scores = run(bare_draft(tmp_path))
    assert scores.overall.pass_at_1 == pytest.approx((scores.by_domain["math"].pass_at_1 + 1.0) / 2)
    assert scores.overall.format_rate == scores.by_domain["math"].format_rate
    assert scores.overall.language_consistency == scores.by_domain["math"].language_consistency
    assert scores.overall.n == 11


def test_scores_say_what_they_depend_on_and_survive_json(tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    scores = run(draft)
    assert EvalScores.model_validate_json((draft.path / "scores.json").read_text()) == scores
    assert scores.identity.model_digest == "d" * 64
    assert scores.identity.verifiers == {"math": "literal@1", "general": "literal@1"}
    assert len(scores.identity.template_hash) == 16


def test_another_grader_judges_the_same_completions(tmp_path: Path) -> None:
    first, second = bare_draft(tmp_path / "a"), bare_draft(tmp_path / "b")
    run(first)
    stored = read_table(first.path / "completions.parquet")
    after = grade(stored, asked(first), grader("2", accepts="\\boxed{9}"), PROBLEMS, GRADE, second)
    assert after.by_domain["math"].pass_at_1 == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert after.identity.verifiers == {"math": "literal@2", "general": "literal@2"}
    columns = list(STORED)
    assert read_table(second.path / "completions.parquet").select(columns).equals(stored.select(columns))


def test_k_beyond_the_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be in 1\.\.4"):
        EvaluateRecipe(ask=ASK, grade=GradeRecipe(ks=(8,)))


def test_a_domain_without_any_verdict_is_an_error_not_a_zero(tmp_path: Path) -> None:
    engine = FakeEngine(lambda request: GOOD + "\\boxed{broken}")
    with pytest.raises(GraderError, match="none of 8 completions in math"):
        run(bare_draft(tmp_path), engine)


def test_a_completion_that_was_cut_off_does_not_vote(tmp_path: Path) -> None:
    recipe = ASK.model_copy(update={"sampling": Sampling(temperature=0.6, top_p=0.95, max_tokens=39)})
    scores = run(bare_draft(tmp_path), recipe=recipe)
    # All maths replies but m0's stray line and m1's Chinese one are longer than 39 characters.
    assert scores.by_domain["math"].outcomes[Outcome.TRUNCATED] == 6
    assert scores.by_domain["math"].cons_at_k == 0.5
