"""Every gate of the graph can fail: each rejects an artifact like the one that its documentation names."""

from collections.abc import Callable
from pathlib import Path

import pytest
from run_fakes import HELDOUT, TRAIN, FakeRun, problem, row, says
from test_collect import LIMITS, guarded
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from r1_pipeline.artifacts.kinds import Artifact, RewardModel
from r1_pipeline.evaluation.gates import failures, known_characters
from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1
from r1_pipeline.graph.local import GatedArtifact
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import load_profile
from r1_pipeline.records import Outcome, Problem

MANY = [problem(f"h{domain}{i}", domain, "A") for domain in ("math", "logic") for i in range(30)]
"""Enough held-out problems for a significant loss."""


def no_better(run: FakeRun) -> None:
    for model in ("base", "r1_zero"):
        run.evaluation(model, "zero", says("two words", "B", "zero"))


def forgets_logic(run: FakeRun) -> None:
    run.evaluation("dev1", "chat", says("two words", "A", "chat"), problems=MANY)
    right, wrong = (says("two words", answer, "chat") for answer in "AB")
    run.evaluation("dev2", "chat", lambda r: (wrong if "logic" in r.problem_id else right)(r), problems=MANY)


def liked_less(run: FakeRun) -> None:
    run.preferences({"dev3": (0.9, 0.8, 0.9, 0.8), "r1": (0.5, 0.4, 0.5, 0.4)})


def always_d(run: FakeRun) -> None:
    letters = [problem(f"s{i}", "stem", "ABCD"[i % 4]) for i in range(80)]
    run.problems("reasoning_problems", letters)
    run.corpus([row(each, "D") for each in letters if each.answer == "D"])


def unclosed(run: FakeRun) -> None:
    run.evaluation("r1_zero", "zero", lambda _: "<think>two words")


def mixed(run: FakeRun) -> None:
    run.evaluation("dev2", "chat", says("two 个词语", "A", "chat"))


def foreign_tokenizer(run: FakeRun) -> None:
    run.model("student_base/qwen", "zero", [], tokenizer="qwen")
    run.model("distilled/qwen", "chat", [], tokenizer="llama")


def far_from_its_reference(run: FakeRun) -> None:
    run.model("r1_zero", "zero", [{"kl": 0.1}, *[{"kl": 0.3}] * 3])


def six_of_eight(run: FakeRun) -> None:
    run.facts(RewardModel, "helpful_rm", {"accuracy": 0.75, "heldout_pairs": 8, "calibration": []})


def by_keywords(run: FakeRun) -> None:
    run.problems("reasoning_problems", [problem("m", "math", "7").model_copy(update={"verifier": "keywords"})])


def wrong_row(run: FakeRun) -> None:
    run.corpus([row(TRAIN[0], "B", Outcome.WRONG)])


def heldout_row(run: FakeRun) -> None:
    run.corpus([row(HELDOUT[0])])


def forbidden(run: FakeRun) -> None:
    run.corpus([row(TRAIN[0]).model_copy(update={"licence": "CC-BY-NC-4.0"})])


def misjudged(run: FakeRun) -> None:
    run.corpus([row(TRAIN[0], "B")])


def agrees_on_b(run: FakeRun) -> None:
    """Two of three problems are answered B four times; of the third, one answer in four is right."""
    asked = [*TRAIN[:2] * 4, *[TRAIN[2]] * 4]
    answers = "BBBBBBBBABCD"
    said = [(about, says("two words", answer, "chat")(None)) for about, answer in zip(asked, answers, strict=True)]  # type: ignore[arg-type]
    run.model("dev2", "chat", [], rollouts=said)


BAD: dict[str, tuple[str, Callable[[FakeRun], None]]] = {
    "beats_base": ("r1_zero", no_better),
    "no_regression": ("dev2", forgets_logic),
    "no_less_preferred": ("preference_scores", liked_less),
    "answer_distribution": ("sft_corpus", always_d),
    "format_rate": ("r1_zero", unclosed),
    "language_consistency": ("dev2", mixed),
    "same_tokenizer": ("distilled/qwen", foreign_tokenizer),
    "training_guards": ("r1_zero", far_from_its_reference),
    "preference_accuracy": ("helpful_rm", six_of_eight),
    "reward_hacks": ("reasoning_problems", by_keywords),
    "suspect_references": ("dev2", agrees_on_b),
    "all_verified": ("sft_corpus", wrong_row),
    "no_heldout": ("sft_corpus", heldout_row),
    "licences_allowed": ("sft_corpus", forbidden),
    "recheck_agrees": ("sft_corpus", misjudged),
}
"""The artifact of each check, and the function that makes it bad."""


def run_with(home: Path, spoil: Callable[[FakeRun], None]) -> FakeRun:
    """Makes a run with the artifacts of `spoil`, and sound problems and models for the rest."""
    run = FakeRun(home)
    spoil(run)
    for name, problems in (("heldout_problems", HELDOUT), ("reasoning_problems", TRAIN), ("general_prompts", [])):
        if name not in run.artifacts:
            run.problems(name, problems)
    for model in ("base", "r1_zero", "dev2"):
        if model not in run.artifacts:
            run.model(model, "chat", [])
    return run


def judged(run: FakeRun, asset: str) -> GatedArtifact:
    profile = guarded(load_profile("smoke", 0))
    subject = profile.bound.name(asset)

    def find(name: AssetName) -> Artifact:
        return run.artifacts[str(name)]

    return GatedArtifact(profile.bound, subject, run.artifacts[asset], LIMITS, profile.runtime, find)


@pytest.mark.parametrize("name", BAD)
def test_it_says_no_to_the_artifact_that_its_documentation_names(name: str, tmp_path: Path) -> None:
    asset, spoil = BAD[name]
    subject = judged(run_with(tmp_path, spoil), asset)
    check = next(check for check in DEEPSEEK_R1.node(subject.name.asset).checks if check.name == name)
    found = check.decide(subject)
    assert failures(found), found
    assert {gate.blocking for gate in found} == {not check.warns}


def test_problems_with_digits_stop_where_a_tokenizer_has_none(tmp_path: Path) -> None:
    rows: list[Problem] = [problem("7 + 8", "math", "15")]
    asked = FakeRun(tmp_path).problems("reasoning_problems", rows)
    letters = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"?": 0, "q": 1, " ": 2, "+": 3}, "?")), unk_token="?"
    )
    assert failures([known_characters(asked, {"base": letters}, LIMITS)])


def test_the_suspects_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    check = next(check for check in DEEPSEEK_R1.node("dev2").checks if check.name == "suspect_references")
    (gate,) = check.decide(judged(run_with(tmp_path / "bad", agrees_on_b), "dev2"))
    assert gate.value == pytest.approx(2 / 3)
    assert gate.detail == (
        "2 of 3 problems whose samples agree on another answer; first: 'B' for 'A' of t0; list them: r1 suspects dev2"
    )
    (gate,) = check.decide(judged(run_with(tmp_path / "none", lambda _: None), "dev2"))
    assert gate.passed
    assert gate.detail.startswith("0 of 0 problems")  # no rollouts are stored


def test_every_gate_of_the_graph_names_what_fails_it_and_has_a_test_here() -> None:
    checks = [check for node in DEEPSEEK_R1 for check in node.checks]
    assert {check.name for check in checks} == {*BAD, "known_characters"}
    assert all(check.fails.endswith(".") and len(check.fails.split()) > 5 for check in checks)


def test_only_what_nothing_is_trained_on_merely_warns() -> None:
    """The warning of the cold start is that of the corpus, early."""
    measuring = ("answers", "evaluation")
    for node in DEEPSEEK_R1:
        below = {DEEPSEEK_R1.node(each).group for each in DEEPSEEK_R1.descendants(node.name)} - set(measuring)
        for check in node.checks:
            if check.warns and node.name not in ("cold_start_data", "distilled"):
                assert below == set(), (node.name, check.name)
    assert DEEPSEEK_R1.descendants("distilled") & set(DEEPSEEK_R1.checkpoints) == {"student_rl_only"}  # its budget


def test_the_same_loss_on_few_problems_is_not_sure_and_passes(tmp_path: Path) -> None:
    def forgets_all(run: FakeRun) -> None:
        run.evaluation("dev1", "chat", says("two words", "A", "chat"))
        run.evaluation("dev2", "chat", says("two words", "B", "chat"))

    subject = judged(run_with(tmp_path, forgets_all), "dev2")
    check = next(check for check in DEEPSEEK_R1.node("dev2").checks if check.name == "no_regression")
    assert failures(check.decide(subject)) == []
