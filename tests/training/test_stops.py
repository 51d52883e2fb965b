"""Stop strings and the model's own chat template in rollouts: what ends there is judged and trained as ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.engines import VllmRollouts
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.rubric import Log
from r1_pipeline.settings.engines import Served
from r1_pipeline.training.grpo import GrpoRecipe, train_grpo
from r1_pipeline.training.objectives import OBJECTIVES
from r1_pipeline.training.rollouts import rollout_arguments
from tests.generation.own_template import make_qwen

STOP = ("7", "ab")
RECIPE = GrpoRecipe(**{
    **dict(runs.GRPO), "steps": 2, "save_steps": 2, "steps_per_generation": 1, "reference_sync_steps": None,
    "group_size": 32, "max_completion_tokens": 40, "stop": STOP,
})  # fmt: skip


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen(tmp_path_factory.mktemp("qwen"))


def train(model: Path, directory: Path, recipe: GrpoRecipe, template: str = "own_chat") -> tuple[list[Completion], Any]:
    seen: list[Completion] = []

    def part(problems: Sequence[Problem], completions: Sequence[Completion], log: Log) -> list[float | None]:
        seen.extend(completions)
        return runs.digits(problems, completions, log)

    draft = bare_draft(directory)
    problems = runs.problems(recipe.problems)
    train_grpo(model, problems, template, {"digits": part}, {"digits": 1.0}, recipe, runs.RUNTIME, draft)
    return seen, read_metrics(draft.metrics)


def test_a_completion_ends_with_the_token_that_completes_a_stop_string(qwen: Path, tmp_path: Path) -> None:
    seen, metrics = train(qwen, tmp_path, RECIPE)
    tokenizer = load_tokenizer(qwen)
    stopped = [each for each in seen if each.finish_reason == "stop" and each.token_ids[-1] != tokenizer.eos_token_id]
    assert stopped
    for each in stopped:
        whole = tokenizer.decode(each.token_ids, skip_special_tokens=True)
        assert whole.endswith(STOP)
        assert each.text == whole.removesuffix("7").removesuffix("ab")
    for each in seen:
        assert not any(stop in each.text for stop in STOP)
        assert (each.finish_reason == "length") == (
            len(each.token_ids) == 40 and each not in stopped and each.token_ids[-1] != tokenizer.eos_token_id
        )
    rollouts = [seen[:64], seen[64:]]
    for rollout, row in zip(rollouts, metrics, strict=True):
        assert row["truncated"] == pytest.approx(sum(each.finish_reason == "length" for each in rollout) / 64)
        assert row["mean_tokens"] == pytest.approx(sum(len(each.token_ids) for each in rollout) / 64)


def test_a_completion_ends_at_any_end_token_of_the_models_generation_settings(tmp_path: Path) -> None:
    model = make_qwen(tmp_path / "published")
    (model / "generation_config.json").write_text('{"eos_token_id": [1, 2]}', encoding="utf-8")
    seen, metrics = train(model, tmp_path / "trained", RECIPE.model_copy(update={"stop": ()}))
    assert {each.token_ids[-1] for each in seen if each.finish_reason == "stop"} == {1, 2}
    for each in seen:
        assert not {1, 2} & set(each.token_ids[:-1])
        assert each.finish_reason == ("stop" if each.token_ids[-1] in (1, 2) else "length")
    for rollout, row in zip([seen[:64], seen[64:]], metrics, strict=True):
        assert row["truncated"] == pytest.approx(sum(each.finish_reason == "length" for each in rollout) / 64)


def test_an_objective_that_masks_what_was_cut_off_trains_on_what_a_stop_string_ended(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import GRPOTrainer

    made: list[Any] = []
    compute = GRPOTrainer._compute_loss

    def noted(trainer: Any, model: Any, inputs: Any) -> Any:
        made.append(inputs)
        return compute(trainer, model, inputs)

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", noted)
    recipe = RECIPE.model_copy(update={"steps": 1, "save_steps": 1, "objective": OBJECTIVES["dapo"], "beta": 0.0})
    seen, _ = train(qwen, tmp_path, recipe)
    lengths = sorted(0 if each.finish_reason == "length" else len(each.token_ids) for each in seen)
    [inputs] = made
    assert sorted(inputs["completion_mask"].sum(1).tolist()) == lengths
    assert int(inputs["num_items_in_batch"]) == sum(lengths) > 0


def test_rollouts_read_the_models_own_chat_template_as_markup(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import GRPOTrainer

    prompts: list[list[int]] = []
    generate = GRPOTrainer._generate_single_turn

    def noted(trainer: Any, prompt_ids: list[list[int]], *rest: Any, **others: Any) -> Any:
        prompts.extend(prompt_ids)
        return generate(trainer, prompt_ids, *rest, **others)

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", noted)
    seen, _ = train(qwen, tmp_path, RECIPE, "own_chat_opened")
    tokenizer = load_tokenizer(qwen)
    assert tokenizer.decode(prompts[0]) == "<|im_start|>user\n0+0=?<|im_end|>\n<|im_start|>assistant\n<think>"
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert [number for number in prompts[0] if number in (start, end)] == [start, end, start]
    assert all(each.text.startswith("<think>") for each in seen)


def test_vllm_is_given_the_stop_strings_and_leaves_them_in_the_text() -> None:
    place = Served(base_url="http://10.0.0.2:8000", group_port=1, timeout_s=1.0, max_mismatch=0.1)
    runtime = Runtime(device="cuda", rollouts=place)
    arguments = rollout_arguments(VllmRollouts(clip=2.0), runtime, STOP)
    assert arguments["generation_kwargs"] == {"stop": ["7", "ab"], "include_stop_str_in_output": True}
    assert "generation_kwargs" not in rollout_arguments(VllmRollouts(clip=2.0), runtime)
