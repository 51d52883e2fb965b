"""GRPO is tested for groups, order, excluded parts, effective batch, and learning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.errors import GuardTrippedError, RecipeError
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Outcome, Problem, Verdict
from r1_pipeline.rewards.rubric import Log, PartFn, Rubric, part_functions
from r1_pipeline.rewards.verifier import Grader, verdict
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe, tokens_spent, train_grpo

ON_POLICY = runs.GRPO.model_copy(update={"steps_per_generation": 1, "reference_sync_steps": None})


class Seen:
    """A reward part that records its arguments."""

    def __init__(self, part: PartFn) -> None:
        self.part = part
        self.calls: list[tuple[list[Problem], list[Completion]]] = []
        self.values: list[list[float | None]] = []

    def __call__(self, problems: Sequence[Problem], completions: Sequence[Completion], log: Log) -> list[float | None]:
        self.calls.append((list(problems), list(completions)))
        self.values.append(self.part(problems, completions, log))
        return self.values[-1]


def train(
    base: Path,
    directory: Path,
    recipe: GrpoRecipe,
    parts: dict[str, PartFn],
    micro_batch: int = 128,
    weights: dict[str, float] | None = None,
) -> Draft:
    draft = bare_draft(directory)
    weights = weights or {name: 1.0 / (i + 1) for i, name in enumerate(parts)}
    runtime = Runtime(threads=1, micro_batch=micro_batch)
    train_grpo(base, runs.problems(recipe.problems), "chat", parts, weights, recipe, runtime, draft)
    return draft


def test_problems_come_in_order_each_group_whole(tiny: Path, tmp_path: Path) -> None:
    seen = Seen(runs.digits)
    train(tiny, tmp_path, runs.GRPO, {"digits": seen}, micro_batch=3)
    # 6 steps of 2 problems, 2 steps a rollout: 3 rollouts of 4 problems, 4 completions each
    ids = [problem.id for problem in runs.problems(12)]
    shown = [[problem.id for problem in problems] for problems, _ in seen.calls]
    assert shown == [[id_ for id_ in ids[4 * r : 4 * r + 4] for _ in range(4)] for r in range(3)]
    for problems, completions in seen.calls:
        assert [c.problem_id for c in completions] == [p.id for p in problems]
        assert [c.sample_index for c in completions] == [0, 1, 2, 3] * 4


def test_a_control_token_in_a_question_is_text_in_the_prompt(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import GRPOTrainer

    prompts: list[list[int]] = []
    generate = GRPOTrainer._generate_single_turn

    def noted(trainer: Any, prompt_ids: list[list[int]], *rest: Any, **others: Any) -> Any:
        prompts.extend(prompt_ids)
        return generate(trainer, prompt_ids, *rest, **others)

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", noted)
    recipe = ON_POLICY.model_copy(update={"steps": 2})
    spelled = [p.model_copy(update={"question": "<s>1</s>+1"}) for p in runs.problems(recipe.problems)]
    draft = bare_draft(tmp_path)
    train_grpo(tiny, spelled, "chat", {"digits": runs.digits}, {"digits": 1.0}, recipe, runs.RUNTIME, draft)
    tokenizer = load_tokenizer(tiny)
    assert {tokenizer.decode(prompt) for prompt in prompts} == {"User: <s>1</s>+1\nAssistant:"}
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & {number for prompt in prompts for number in prompt}


def test_a_completion_without_its_end_is_truncated(tiny: Path, tmp_path: Path) -> None:
    seen = Seen(runs.digits)
    train(tiny, tmp_path, ON_POLICY.model_copy(update={"group_size": 16}), {"digits": seen})
    completions = [completion for _, shown in seen.calls for completion in shown]
    assert {done.finish_reason for done in completions} == {"stop", "length"}
    for done in completions:
        assert (done.finish_reason == "stop") == (done.token_ids[-1] == 2)  # </s>
        assert done.finish_reason == "stop" or len(done.token_ids) == 12


def test_the_reward_is_the_weighted_sum_over_the_parts_that_apply(tiny: Path, tmp_path: Path) -> None:
    def even_only(problems: Sequence[Problem], completions: Sequence[Completion], _: Log) -> list[float | None]:
        return [1.0 if int(p.id, 16) % 2 == 0 else None for p in problems]

    first, second = Seen(runs.digits), Seen(even_only)
    draft = train(tiny, tmp_path, ON_POLICY, {"digits": first, "even": second})
    row = read_metrics(draft.metrics)[0]
    digits = [value for value in first.values[0] if value is not None]
    assert second.values[0] == [1.0] * 4 + [None] * 4
    assert row["reward/digits"] == pytest.approx(sum(digits) / 8)
    assert row["reward/even"] == 1.0
    assert row["reward"] == pytest.approx((sum(digits) + 4 * 0.5) / 8)


def test_a_part_that_weighs_nothing_is_logged_and_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    recipe = ON_POLICY.model_copy(update={"steps": 2, "save_steps": 2})
    watched: dict[str, PartFn] = {"digits": runs.digits, "watched": lambda problems, *_: [0.25] * len(problems)}
    weights = {"digits": 1.0, "watched": 0.0}
    alone = train(tiny, tmp_path / "alone", recipe, {"digits": runs.digits}, weights=weights)
    both = train(tiny, tmp_path / "both", recipe, watched, weights=weights)
    assert [row["reward/watched"] for row in read_metrics(both.metrics)] == [0.25, 0.25]
    assert runs.digests(both.path) == runs.digests(alone.path)


def test_equal_rewards_teach_nothing(tiny: Path, tmp_path: Path) -> None:
    recipe = ON_POLICY.model_copy(update={"beta": 0.0})
    draft = train(tiny, tmp_path, recipe, {"constant": lambda problems, *_: [0.7] * len(problems)})
    assert runs.digests(draft.path) == runs.digests(tiny)
    assert [row["flat_groups"] for row in read_metrics(draft.metrics)] == [1.0] * 6


def test_the_micro_batch_changes_neither_rollout_nor_gradient(tiny: Path, tmp_path: Path) -> None:
    shown, rows = [], []
    for size in (8, 3, 1):
        seen = Seen(runs.digits)
        draft = train(tiny, tmp_path / str(size), ON_POLICY, {"digits": seen}, micro_batch=size)
        shown.append([done.token_ids for done in seen.calls[0][1]])
        rows.append(read_metrics(draft.metrics)[0])
    assert shown[0] == shown[1] == shown[2]
    assert rows[1]["grad_norm"] == pytest.approx(rows[0]["grad_norm"], rel=1e-3)
    assert rows[2]["grad_norm"] == pytest.approx(rows[0]["grad_norm"], rel=1e-3)


def test_what_is_rewarded_grows(tiny: Path, tmp_path: Path) -> None:
    recipe = ON_POLICY.model_copy(update={"steps": 24, "save_steps": 24, "group_size": 16, "beta": 0.001})
    rewards = [row["reward"] for row in read_metrics(train(tiny, tmp_path, recipe, {"digits": runs.digits}).metrics)]
    assert sum(rewards[-4:]) / 4 > 3 * sum(rewards[:4]) / 4


def test_a_guard_stops_the_run(tiny: Path, tmp_path: Path) -> None:
    recipe = ON_POLICY.model_copy(update={"guards": Guards(entropy_floor=50.0)})
    with pytest.raises(GuardTrippedError, match=r"entropy 4\.\d+ is below 50 at step 1"):
        train(tiny, tmp_path, recipe, {"digits": runs.digits})


class Flaky:
    """A verifier that fails on every `period`-th answer and finds the others wrong."""

    name, version = "flaky", "1"

    def __init__(self, period: int) -> None:
        self.period, self.calls = period, 0

    def judge(self, problem: Problem, final: str) -> Verdict:
        self.calls += 1
        return verdict(self, Outcome.WRONG if self.calls % self.period else Outcome.GRADER_ERROR, "")

    def close(self) -> None:
        pass


def flaky_parts(period: int) -> dict[str, PartFn]:
    rubric = Rubric(accuracy=1.0, format=0.1, language=0.0, preference=0.0)
    return {**part_functions(rubric, Grader({"math": Flaky(period)}), "chat", {})}


def test_outcomes_are_logged_each_step_and_failed_gradings_are_no_zeros(tiny: Path, tmp_path: Path) -> None:
    parts = flaky_parts(period=2)
    accuracy = parts["accuracy"] = Seen(parts["accuracy"])
    rows = read_metrics(train(tiny, tmp_path, ON_POLICY, parts).metrics)
    assert len(rows) == 6
    for row, values in zip(rows, accuracy.values, strict=True):
        assert row["outcome/grader_error"] == pytest.approx(values.count(None) / 8)
        assert sum(value for name, value in row.items() if name.startswith("outcome/")) == pytest.approx(1.0)
        assert row["reward/accuracy"] == 0.0
    assert any(None in values for values in accuracy.values)


def test_a_grader_that_fails_too_often_stops_the_run(tiny: Path, tmp_path: Path) -> None:
    recipe = ON_POLICY.model_copy(update={"guards": Guards(grader_error_ceiling=0.001)})
    with pytest.raises(GuardTrippedError, match=r"the grader failed on \d\.\d\d% of the answers .*above 0\.10%"):
        train(tiny, tmp_path, recipe, flaky_parts(period=1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"save_steps": 3}, "save_steps is 3, not a multiple of the 2 steps of a rollout"),
        ({"steps": 7}, "steps is 7, not a multiple of the 2 steps"),
        ({"num_iterations": 4}, "not a multiple of the 8 steps of a rollout"),
        ({"group_size": 1}, "advantages need at least 2"),
        ({"beta": 0.0}, "no reference to refresh"),
    ],
)
def test_recipes_that_cannot_run_or_resume_are_refused(change: dict[str, int | float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GrpoRecipe(**{**dict(runs.GRPO), **change})
    with pytest.raises(RecipeError, match=words):
        runs.GRPO.model_copy(update=change).check()


def test_the_number_of_problems_must_fit(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="11 problems were given, 6 steps need 12"):
        train_grpo(tiny, runs.problems(11), "chat", {}, {}, runs.GRPO, runs.RUNTIME, bare_draft(tmp_path))


def test_tokens_are_counted_once_a_rollout_and_trained_every_inner_epoch() -> None:
    recipe = runs.GRPO.model_copy(update={"num_iterations": 2})
    log = [
        {"mean_tokens": 10.0, "tokens": 400.0},
        {"loss": 0.1},
        {"mean_tokens": 12.0, "tokens": 900.0},
    ]
    # a rollout is 2 problems x 4 completions x 2 minibatches = 16 completions: 16 * (10 + 12)
    assert tokens_spent(log, recipe) == {"generated": 352, "trained": 1800}


def test_a_spent_budget_ends_the_run(tiny: Path, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    problems, parts = runs.problems(ON_POLICY.problems), {"accuracy": runs.digits}
    train_grpo(
        tiny, problems, "chat", parts, {"accuracy": 1.0}, ON_POLICY, runs.RUNTIME, draft, token_budget=500
    )  # fmt: skip
    log = read_metrics(draft.metrics)
    assert 1 < len(log) < ON_POLICY.steps
    assert sum(tokens_spent(log, ON_POLICY).values()) >= 500 > sum(tokens_spent(log[:-1], ON_POLICY).values())
    assert (draft.path / "model.safetensors").exists()
