"""Laws of collecting a report from a home: its values, the stages that count as reused, and its gates."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from run_fakes import HELDOUT, RUN, TRAIN, FakeRun, fake_run, row, says
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.collect import RunFacts, busy_seconds, collect, write_report
from r1_pipeline.evaluation.gates import GateLimits, known_characters
from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.report import ReportRecipe
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.local import material_of
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Outcome
from r1_pipeline.training.callbacks import Guards

LIMITS = GateLimits(
    gain_over_base=0.5,
    format_rate=0.9,
    language_consistency=0.9,
    preference_accuracy=0.9,
    licences=("CC0-1.0",),
    unknown_characters=0.01,
    regression=0.0,
    answer_excess=0.1,
    suspect_references=0.5,
)
GUARDS = {"r1_zero": Guards(entropy_floor=0.1, kl_ceiling=0.25), "r1": Guards(entropy_floor=0.1)}


def guarded(profile: Profile) -> Profile:
    guarded = {name: changed(profile.recipes[name], "grpo.guards", guards) for name, guards in GUARDS.items()}
    return replace(profile.with_recipes(guarded), gates=LIMITS, runtime=Runtime(threads=1))


def collected(run: FakeRun) -> ReportInputs:
    facts = RunFacts(profile="smoke", seed=3, home=run.home, pipeline_run=RUN)
    recipe = ReportRecipe(exchanges=4, exchange_models=("base", "r1"))
    profile = guarded(load_profile("smoke", 3))
    artifacts = {profile.bound.name(name): artifact for name, artifact in run.artifacts.items()}
    return collect(material_of(profile.bound, artifacts, profile), facts, recipe)


def test_models_corpus_and_preferences_are_those_of_the_artifacts(tmp_path: Path) -> None:
    inputs = collected(fake_run(tmp_path))
    assert {name: scores.overall.pass_at_1 for name, scores in inputs.models.items()} == {
        "base": 0.0,
        "r1_zero": 1.0,
        "dev3": 0.0,
        "r1": 1.0,
    }
    assert inputs.reward_models["helpful_rm"].model_dump() == {
        "accuracy": 0.75,
        "n": 8,
        "calibration": ({"predicted": 0.8, "observed": 0.75, "pairs": 8},),
        "calibration_error": pytest.approx(0.05),
    }
    assert inputs.general_preference == {"dev3": pytest.approx(0.65), "r1": pytest.approx(0.75)}
    assert [mark.score for mark in inputs.liked["r1"] if mark.group == "helpful"] == [0.4, 0.6]
    assert {(mark.group, mark.problem_id, mark.score) for mark in inputs.marks["r1_zero"]} == {
        (domain, f"h{domain}{i}", 1.0) for domain in ("math", "logic") for i in range(2)
    }
    assert inputs.favourites["base"]["logic"].model_dump() == {"answer": "b", "share": 1.0, "answers": 4}
    assert inputs.corpus.by_domain["logic"].model_dump() == {"rows": 3, "tokens": 21, "rounds": 1.0}
    assert inputs.corpus.dropped == {"wrong": 2}
    assert (inputs.corpus.heldout_overlap, inputs.corpus.rechecked, inputs.corpus.agreed) == (0, 3, 3)
    assert inputs.training["r1"] == ({"step": 1.0, "entropy": 0.4, "reward/language": 0.9},)
    assert [set(exchange.replies) for exchange in inputs.exchanges] == [{"base", "r1"}] * len(inputs.exchanges) != []


def test_sizes_are_those_of_the_bases_by_their_configurations(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    run.model("student_base/qwen", "zero", [])
    sizes = collected(run).sizes
    assert list(sizes) == ["base", "student_base/qwen"]
    # Embedding 80, norms 24, attention 64 + 64 + 64, feed-forward 384; one head of keys and values, 4 wide each.
    by_hand = {"parameters": 680, "active_parameters": 680, "kv_bytes": 16, "plain_kv_bytes": 32}
    assert sizes["base"].model_dump() == by_hand


def test_a_stage_costs_what_making_it_cost_and_asking_is_a_stage_of_its_own(tmp_path: Path) -> None:
    inputs = collected(fake_run(tmp_path))
    stages = inputs.stages
    assert stages["r1"].tokens == 40
    assert stages["heldout_problems"].tokens is None
    assert (stages["answers/r1"].tokens, stages["evaluation/r1"].tokens) == (100, None)
    assert 0 < inputs.total_seconds <= sum(stage.seconds for stage in stages.values()) + 1e-6
    reused = {name for name, stage in stages.items() if stage.reused}
    answers = {"answers/base", "answers/r1_zero", "answers/dev3", "answers/r1"}
    assert reused == {"heldout_problems", "reasoning_problems", "general_prompts", "evaluation/r1_zero", *answers}


def test_time_in_which_two_lanes_worked_counts_once() -> None:
    assert busy_seconds([(0, 10), (4, 6), (8, 12), (20, 21)]) == 13
    assert busy_seconds([]) == 0


def test_gates_go_by_asset_and_say_value_and_limit(tmp_path: Path) -> None:
    gates = collected(fake_run(tmp_path)).gates
    read = ("reasoning_problems", "heldout_problems", "general_prompts", "sft_corpus")
    assert {name: (gate.value, gate.limit) for name, gate in gates.items() if gate.passed} == {
        "reasoning_problems.reward_hacks": (0, 0),
        **{f"{name}.known_characters": (0.0, 0.01) for name in read},
        "r1_zero.same_tokenizer": (0, 0),
        "r1_zero.entropy_guard": (0.2, 0.1),
        "r1_zero.beats_base": (1.0, 0.5),
        "r1_zero.format_rate": (1.0, 0.9),
        "r1.same_tokenizer": (0, 0),
        "r1.entropy_guard": (0.4, 0.1),
        "r1.language_consistency": (1.0, 0.9),
        "sft_corpus.licences_allowed": (0.0, 0.0),
        "sft_corpus.all_verified": (0, 0),
        "sft_corpus.no_heldout": (0, 0),
        "sft_corpus.recheck_agrees": (0, 0),
        "heldout_problems.known_characters": (0, 0.01),
        "reasoning_problems.known_characters": (0, 0.01),
        "sft_corpus.known_characters": (0, 0.01),
        "sft_corpus.answer_distribution_logic": (pytest.approx(3 / (3 + 1.959963984540054**2) - 1), 0.1),
        "dev3.same_tokenizer": (0, 0),
        "r1.no_regression_math": (1.0, 0.0),
        "r1.no_regression_logic": (1.0, 0.0),
        "preference_scores.no_less_preferred": (1.0, 0.0),
    }
    assert {name for name, gate in gates.items() if not gate.blocking} == {
        *("r1.no_regression_math", "r1.no_regression_logic", "preference_scores.no_less_preferred"),
    }
    assert {name: (gate.value, gate.limit) for name, gate in gates.items() if not gate.passed} == {
        "r1_zero.kl_guard": (0.3, 0.25),
        "helpful_rm.preference_accuracy": (0.75, 0.9),
    }


def test_bad_rows_of_the_corpus_fail_their_gates(tmp_path: Path) -> None:
    stray = TRAIN[0].model_copy(update={"id": "nowhere"})
    rows = [row(TRAIN[0]), row(TRAIN[1], "B"), row(TRAIN[2], "B", Outcome.WRONG), row(HELDOUT[0]), row(stray)]
    inputs = collected(fake_run(tmp_path, rows))
    assert inputs.gates["sft_corpus.all_verified"].value == 1  # the one that says so itself
    assert inputs.gates["sft_corpus.no_heldout"].value == 1
    # The second is wrong though it says correct, the last two are about problems that no training set has.
    assert inputs.gates["sft_corpus.recheck_agrees"].value == 3
    assert (inputs.corpus.rechecked, inputs.corpus.agreed) == (5, 2)


def test_partitions_keep_their_line_and_a_changed_tokenizer_is_seen(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    for student in ("qwen", "llama"):
        run.model(f"student_base/{student}", "zero", [], tokenizer=student)
        run.evaluation(f"student_base/{student}", "zero", says("two words", "B", "zero"))
    run.model("distilled/qwen", "chat", [], tokenizer="qwen")
    run.model("distilled/llama", "chat", [], tokenizer="qwen")
    run.model("student_rl_only", "zero", [], tokenizer="qwen")
    for model in ("distilled/qwen", "distilled/llama", "student_rl_only"):
        run.evaluation(model, "zero", says("two words", "A", "zero"))
    gates = {name: gate.value for name, gate in collected(run).gates.items() if name.endswith("same_tokenizer")}
    assert gates["distilled/qwen.same_tokenizer"] == gates["student_rl_only.same_tokenizer"] == 0
    assert gates["distilled/llama.same_tokenizer"] == 3


def test_a_set_is_stopped_by_the_tokenizer_that_knows_least_of_it(tmp_path: Path) -> None:
    run = fake_run(tmp_path)  # three questions: q t0, q t1, q t2
    whole, letters, poor = (
        PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel({"?": 0, **{c: n for n, c in enumerate(known, 1)}}, "?")),
            unk_token="?",
        )
        for known in ("qt 012", "qt ", "t 012")
    )
    asked = run.artifacts["reasoning_problems"]
    gate = known_characters(asked, {"base": whole, "student_base/a": letters, "student_base/b": poor}, LIMITS)
    assert (gate.value, gate.limit, gate.passed) == (3 / 12, 0.01, False)
    assert gate.detail == "3 of 12 characters are unknown to the tokenizer of student_base/a: '0', '1', '2'"
    passed = known_characters(asked, {"base": whole}, LIMITS)
    assert (passed.value, passed.passed) == (0, True)
    answered = known_characters(run.artifacts["sft_corpus"], {"base": whole}, LIMITS)
    assert answered.detail.startswith("87 of 111 characters are unknown to the tokenizer of base: ")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    del run.artifacts["evaluation/base"]
    with pytest.raises(
        ArtifactError, match="no 'evaluation/base' among the artifacts of the report; there are answers/"
    ):
        collected(run)


def test_the_report_lies_whole_in_its_directory(tmp_path: Path) -> None:
    inputs = collected(fake_run(tmp_path / "home"))
    directory = tmp_path / "home" / "report"
    for _ in range(2):  # the second replaces the first
        numbers = write_report(directory, inputs)
    assert sorted(path.name for path in directory.iterdir()) == ["report.html", "report.json"]
    stored = json.loads((directory / "report.json").read_text())
    assert stored == json.loads(json.dumps(numbers))
    assert (stored["schema"], stored["profile"], stored["seed"]) == (1, "smoke", 3)
    assert stored["home"] == str(tmp_path / "home")
