"""The embedded engine: transformers' `generate` with a random number of its own for every token of every sample.

A token is a function of its logits and u(seed, position), so batches and their order do not enter.
Not covered: that function (`drawing`), servers and GPUs' batch engines.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from r1_pipeline.generation.drawing import draw
from r1_pipeline.generation.engine import Progress, check_room
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request, Sampling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(directory: Path, **options: Any) -> "PreTrainedTokenizerBase":
    """The tokenizer as it was saved. `AutoTokenizer` goes by the model's architecture instead and rebuilds one of its
    own for Qwen2, with other ids for the same text, unless the saved class says so."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    saved = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8")).get("tokenizer_class")
    generic = saved in ("TokenizersBackend", "PreTrainedTokenizerFast")
    return (PreTrainedTokenizerFast if generic else AutoTokenizer).from_pretrained(directory, **options)


def engine_identity() -> str:
    """Kind, version and precision, without loading anything."""
    return f"transformers-{version('transformers')}/float32"


class HfEngine:
    """Generates with the checkpoint in `directory`, in float32."""

    def __init__(self, directory: Path, runtime: Runtime) -> None:
        import torch
        import transformers

        torch.set_num_threads(runtime.threads)
        self._runtime = runtime
        self._tokenizer = load_tokenizer(directory, padding_side="left")
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, use_safetensors=True)
        self._model = model.to(runtime.device).eval()
        self.identity = engine_identity()

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """One completion for each request, in order. Prompts of like length share a batch, which spares padding."""
        by_length = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt))
        done: dict[int, Completion] = {}
        for start in range(0, len(by_length), self._runtime.generation_batch):
            batch = by_length[start : start + self._runtime.generation_batch]
            done.update(zip(batch, self._complete([requests[i] for i in batch], sampling), strict=True))
            if progress:
                progress(len(done), len(requests))
        return [done[i] for i in range(len(requests))]

    def spent(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        """Let go of the weights."""
        del self._model

    def _complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        end, pad = self._tokenizer.eos_token_id, self._tokenizer.pad_token_id
        inputs = self._tokenizer(
            [r.prompt for r in requests], return_tensors="pt", padding=True, return_token_type_ids=False
        )
        length = inputs["input_ids"].shape[1]
        check_room(length, sampling, self._model.config.max_position_embeddings)
        numbers = np.stack([np.random.default_rng(r.seed).random(sampling.max_tokens) for r in requests])
        uniform = torch.from_numpy(numbers).to(self._runtime.device)
        drawn = _Drawn(uniform, length, sampling)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs.to(self._runtime.device),
                generation_config=GenerationConfig(
                    max_new_tokens=sampling.max_tokens, do_sample=False, eos_token_id=end, pad_token_id=pad
                ),
                logits_processor=LogitsProcessorList([drawn]),
            )
        logprobs = torch.cat(drawn.logprobs_R1, dim=1).tolist()
        for request, row, chances in zip(requests, output[:, length:].tolist(), logprobs, strict=True):
            ended = end in row
            ids = row[: row.index(end) + 1] if ended else row
            yield Completion(
                problem_id=request.problem_id,
                sample_index=request.sample_index,
                seed=request.seed,
                text=self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True),
                token_ids=tuple(ids),
                logprobs=tuple(chances[: len(ids)]),
                finish_reason="stop" if ended else "length",
                engine=self.identity,
            )


class _Drawn:
    """Leaves exactly the drawn token finite, so that greedy decoding picks it, and notes its log-probability."""

    def __init__(self, uniform_RT: "Tensor", prompt_length: int, sampling: Sampling) -> None:
        self._uniform_RT = uniform_RT
        self._prompt_length = prompt_length
        self._sampling = sampling
        self.logprobs_R1: list[Tensor] = []
        """One column a token."""

    def __call__(self, input_ids_RL: "Tensor", scores_RV: "Tensor") -> "Tensor":
        import torch

        position = input_ids_RL.shape[1] - self._prompt_length
        token_R1 = draw(scores_RV, self._uniform_RT[:, position, None], self._sampling)
        self.logprobs_R1.append(scores_RV.gather(-1, token_R1) - scores_RV.logsumexp(-1, keepdim=True))
        return torch.full_like(scores_RV, float("-inf")).scatter(-1, token_R1, 0.0)
