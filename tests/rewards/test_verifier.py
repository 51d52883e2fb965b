"""The grader: outcomes that all domains share, the cache, identity, and what importing it costs."""

import subprocess
import sys
from threading import Event

import pytest

from r1_pipeline.errors import UnknownNameError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Outcome
from r1_pipeline.rewards.verifier import Grader, reference_verdict, verdict


class Counting:
    """Returns a grader error on the first call and `correct` after it; counts its calls."""

    name, version = "counting", "1"

    def __init__(self):
        self.calls = 0

    def judge(self, problem, final):
        self.calls += 1
        return verdict(self, Outcome.GRADER_ERROR if self.calls == 1 else Outcome.CORRECT, "")

    def close(self):
        self.calls = -1


def test_scores_are_none_exactly_where_nobody_is_to_blame():
    scores = {outcome: verdict(Counting(), outcome, "").score for outcome in Outcome}
    unscored = (Outcome.UNREFERENCED, Outcome.UNGRADABLE, Outcome.GRADER_ERROR)
    assert [scores.pop(outcome) for outcome in unscored] == [None, None, None]
    assert scores.pop(Outcome.CORRECT) == 1.0 and set(scores.values()) == {0.0}


@pytest.mark.parametrize(
    ("template", "text", "finish_reason", "outcome"),
    [
        ("zero", "<think>a</think> <answer>5</answer>", "stop", Outcome.CORRECT),
        ("zero", "<think>a</think> <answer>5</answer>", "length", Outcome.TRUNCATED),
        ("zero", "<think>the answer is 5</think>", "stop", Outcome.MALFORMED),
        ("zero", "<think>\\boxed{5}</think> <answer></answer>", "stop", Outcome.MALFORMED),
        ("zero", "<answer>4</answer> <answer>5</answer>", "stop", Outcome.MALFORMED),
        ("chat", "<think>a</think>\\boxed{5}", "stop", Outcome.CORRECT),
        ("chat", "<think>a</think>\\boxed{5", "length", Outcome.TRUNCATED),
        ("chat", "<think>\\boxed{5}</think>", "stop", Outcome.MALFORMED),
        ("chat", "<think>\\boxed{5}", "stop", Outcome.MALFORMED),
        ("chat", "<think>\\boxed{5}</think>\\boxed{6}", "stop", Outcome.WRONG),
        ("chat", "", "stop", Outcome.MALFORMED),
    ],
)
def test_only_a_finished_final_part_counts(template, text, finish_reason, outcome, grader, problem, completion):
    assert grader.grade(problem("5"), completion(text, finish_reason), template).outcome is outcome


def test_the_graders_own_failures_are_not_cached_and_verdicts_are(problem):
    counting = Counting()
    with Grader({"math": counting}) as grader:
        outcomes = [grader.judge(problem("5"), "5").outcome for _ in range(4)]
        assert outcomes == [Outcome.GRADER_ERROR, *[Outcome.CORRECT] * 3]
        assert counting.calls == 2
    assert counting.calls == -1  # closed on leaving


def test_a_reply_that_waits_for_its_verifier_does_not_hold_up_the_next(problem, completion):
    class Waiting(Counting):
        other_judged = Event()

        def judge(self, problem, final):
            if final == "5":
                self.other_judged.set()
            in_time = self.other_judged.wait(30)
            return verdict(self, Outcome.CORRECT if in_time else Outcome.GRADER_ERROR, "")

    pairs = [(problem("5"), completion(f"<think>a</think>{final}")) for final in "45"]
    judged = Grader({"math": Waiting()}, Runtime(threads=1)).grade_all(pairs, "chat")
    assert [each.outcome for each in judged] == [Outcome.CORRECT] * 2


def test_grade_all_keeps_the_order_and_judges_repeats_once(problem, completion):
    counting = Counting()
    counting.calls = 1
    pairs = [(problem("5"), completion(f"<think>a</think>{n % 3}")) for n in range(30)]
    judged = Grader({"math": counting}, Runtime(threads=4)).grade_all(pairs, "chat")
    assert len(judged) == 30 and counting.calls == 4


def test_an_unknown_domain_names_the_known_ones(problem):
    with pytest.raises(UnknownNameError, match="valid: math"):
        Grader({"math": Counting()}).judge(problem("5", "stem"), "5")


def test_identity_names_verifier_and_version_for_every_domain(grader):
    assert set(grader.identity) == {"math", "code", "stem", "logic", "general"}
    assert grader.identity["stem"] == grader.identity["logic"] == "choice@3+strict"
    assert "python-" in grader.identity["code"] and "math-verify-" in grader.identity["math"]


def test_every_toy_reference_passes_its_own_verifier(grader, problem):
    for task in [problem("5"), problem("B", "stem"), problem("北", "logic"), problem("Ann,day", "general")]:
        assert reference_verdict(grader, task).outcome is Outcome.CORRECT


def test_the_default_grader_loads_no_heavy_library_in_this_process():
    program = (
        "import sys\nfrom r1_pipeline.recipe import Runtime\nfrom r1_pipeline.rewards.graders import default_grader\n"
        "import r1_pipeline.rewards.rubric\nwith default_grader(Runtime()): pass\n"
        "print([m for m in ('torch', 'sympy', 'math_verify', 'transformers') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_without_a_reference_no_reply_is_wrong_however_it_ends(grader, problem, completion):
    """A prompt without a reference cannot be failed, not even by a reply that is cut off or has no answer."""
    prompt = problem(None, "general")
    replies = [completion("hello"), completion("<think>endless", "length"), completion("<think>never closed")]
    assert {grader.grade(prompt, reply, "chat").outcome for reply in replies} == {Outcome.UNREFERENCED}
    assert grader.grade(problem("hello", "general"), replies[1], "chat").outcome is Outcome.TRUNCATED
    assert grader.grade(problem(None, "math"), replies[1], "chat").outcome is Outcome.TRUNCATED
