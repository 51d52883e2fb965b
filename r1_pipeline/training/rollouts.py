"""This module lets vLLM generate rollouts during reinforcement learning, in TRL's two modes, and checks both sides'
agreement.

The recipe says that vLLM generates and how far both probabilities may differ; the runtime says where.

vLLM and the trainer compute the same probabilities by different kernels, so samples are weighted by the ratio of both
(importance sampling, `engines.VllmRollouts`). If weights do not arrive, or another model generates, the
log-probabilities of trainer and vLLM drift apart: they are compared from the first step on, and a mismatch beyond the
limit stops the run with the number.
Not covered: generation outside training (`generation`), the updates of a policy (`training.grpo`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_never

from r1_pipeline.engines import AnyRollouts, Transformers
from r1_pipeline.errors import EngineError, GuardTrippedError
from r1_pipeline.generation.vllm import vllm_version
from r1_pipeline.recipe import Runtime
from r1_pipeline.settings.engines import Colocated, Served

if TYPE_CHECKING:
    from transformers import TrainerCallback

MISMATCH = "sampling/sampling_logp_difference/mean"
"""TRL's name for the mean absolute difference of log-probabilities, in nats a token."""


def rollout_identity(rollouts: AnyRollouts) -> dict[str, str]:
    """Returns what fingerprints contain of the rollouts, apart from their recipe: vLLM's version."""
    if isinstance(rollouts, Transformers):
        return {}
    return {"rollouts": f"vllm-{vllm_version()}"}


def rollout_settings(rollouts: AnyRollouts, runtime: Runtime) -> Colocated | Served | None:
    """Returns the settings of vLLM's rollouts on this machine, None for transformers.

    Raises `EngineError` with the reason if vLLM cannot follow a policy here.
    """
    if isinstance(rollouts, Transformers):
        return None
    place = runtime.rollouts
    if runtime.device == "cpu":
        reason = (
            "vLLM's CPU build packs its weights again when it loads them, so a moving policy cannot be written into it"
            if isinstance(place, Colocated)
            else "weights travel to the server over NCCL, from GPU to GPU"
        )
        raise EngineError(f"rollouts {place.type!r} cannot run on a CPU: {reason}; set them to transformers")
    return place


def rollout_arguments(rollouts: AnyRollouts, runtime: Runtime, stops: Sequence[str] = ()) -> dict[str, Any]:
    """Returns arguments of `GRPOConfig`, with the strings that end a completion; raises like `rollout_settings`."""
    place = rollout_settings(rollouts, runtime)
    if place is None or isinstance(rollouts, Transformers):
        return {}
    common: dict[str, Any] = {
        "use_vllm": True,
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": rollouts.correction,
        "vllm_importance_sampling_clip_max": rollouts.clip,
    }
    if stops:
        common["generation_kwargs"] = {"stop": list(stops), "include_stop_str_in_output": True}
    match place:
        case Served():
            return {
                **common,
                "vllm_mode": "server",
                "vllm_server_base_url": place.base_url,
                "vllm_group_port": place.group_port,
                "vllm_server_timeout": place.timeout_s,
            }
        case Colocated():
            return {
                **common,
                "vllm_mode": "colocate",
                "vllm_gpu_memory_utilization": place.memory_share,
                "vllm_max_model_length": place.context,
                "vllm_tensor_parallel_size": place.devices,
                "vllm_enable_sleep_mode": place.sleeps,
            }
        case _:
            assert_never(place)


def check_agreement(limit: float, step: int, logs: Mapping[str, Any]) -> None:
    """Raises `GuardTrippedError` if trainer and vLLM disagree by more than `limit` nats per token, or their difference
    is unknown."""
    mismatch = logs.get(MISMATCH)
    if mismatch is None or not mismatch <= limit:
        raise GuardTrippedError(
            f"log-probabilities of trainer and vLLM differ by {mismatch} nats a token at step {step}, above {limit}; "
            "the weights do not arrive, or vLLM runs another model or a much lower precision"
        )


def agreement_callback(limit: float) -> "TrainerCallback":
    """Returns a callback that checks every step: the first shows what vLLM loaded, the second what was sent to it."""
    from transformers import TrainerCallback

    class Agreement(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if "loss" in logs:  # not the closing summary of the whole run
                check_agreement(limit, state.global_step, logs)

    return Agreement()
