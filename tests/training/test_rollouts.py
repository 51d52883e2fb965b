"""Rollouts by vLLM set TRL's arguments, stop a run on a mismatch, and are refused on a CPU."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from r1_pipeline.engines import Transformers, VllmRollouts
from r1_pipeline.errors import EngineError, GuardTrippedError
from r1_pipeline.generation import vllm
from r1_pipeline.recipe import Runtime, canonical_json
from r1_pipeline.settings.engines import AnyRolloutSettings, Colocated, Served
from r1_pipeline.training.rollouts import MISMATCH, agreement_callback, rollout_arguments, rollout_identity

COLOCATED = Colocated(max_mismatch=0.05, memory_share=0.3, context=512, devices=1, sleeps=True)
VLLM = VllmRollouts(clip=2.0)
SERVED = Served(max_mismatch=0.05, base_url="http://10.0.0.2:8000", group_port=51216, timeout_s=60.0)


def test_transformers_asks_for_nothing_and_changes_no_fingerprint() -> None:
    assert rollout_arguments(Transformers(), Runtime(rollouts=COLOCATED)) == rollout_identity(Transformers()) == {}


def test_without_settings_vllm_shares_the_trainers_gpu_and_cuts_the_ratio_of_each_token() -> None:
    assert rollout_arguments(VllmRollouts(), Runtime(device="cuda")) == {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.35,
        "vllm_max_model_length": None,
        "vllm_tensor_parallel_size": 1,
        "vllm_enable_sleep_mode": True,
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": 2.0,
    }


def test_a_correction_by_whole_replies_is_stated_in_the_recipe_and_passed_on() -> None:
    whole = VllmRollouts(correction="sequence_mask", clip=3.0)
    given = rollout_arguments(whole, Runtime(device="cuda"))
    assert given["vllm_importance_sampling_mode"] == "sequence_mask"
    assert given["vllm_importance_sampling_clip_max"] == 3.0
    assert canonical_json(whole) != canonical_json(VllmRollouts(clip=3.0))


@pytest.mark.parametrize(
    ("place", "reason"), [(COLOCATED, "packs its weights again when it loads them"), (SERVED, "over NCCL")]
)
def test_a_cpu_is_refused_with_the_reason(place: AnyRolloutSettings, reason: str) -> None:
    with pytest.raises(EngineError, match=f"{reason}.*set them to transformers"):
        rollout_arguments(VLLM, Runtime(rollouts=place))


@pytest.mark.parametrize("place", [COLOCATED, SERVED])
def test_trl_knows_every_argument_and_corrects_the_importance(place: AnyRolloutSettings, tmp_path: Path) -> None:
    from trl import GRPOConfig

    given = rollout_arguments(VLLM, Runtime(device="cuda", rollouts=place))
    config = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **given)
    assert {name: getattr(config, name) for name in given} == given
    assert (config.use_vllm, config.vllm_importance_sampling_correction) == (True, True)


def test_the_version_enters_the_fingerprint_and_the_correction_stands_in_the_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vllm, "version", lambda _: "0.31.0")
    assert rollout_identity(VLLM) == {"rollouts": "vllm-0.31.0"}


def step(number: int, logs: dict[str, float]) -> None:
    agreement_callback(0.05).on_log(None, SimpleNamespace(global_step=number), None, logs=logs)


def test_weights_that_do_not_arrive_stop_the_run_with_the_number() -> None:
    step(1, {"loss": 0.1, MISMATCH: 0.004})
    with pytest.raises(GuardTrippedError, match=r"differ by 0\.31 nats a token at step 2, above 0\.05"):
        step(2, {"loss": 0.1, MISMATCH: 0.31})


@pytest.mark.parametrize("logs", [{"loss": 0.1}, {"loss": 0.1, MISMATCH: float("nan")}])
def test_a_mismatch_that_was_not_measured_stops_the_run_too(logs: dict[str, float]) -> None:
    with pytest.raises(GuardTrippedError):
        step(1, logs)


def test_the_closing_summary_is_no_step() -> None:
    step(9, {"train_runtime": 3.0})
