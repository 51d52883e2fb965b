"""The embedded engine: transformers' `generate` with a random number of its own for every token of every sample.

A token is a function of its logits and u(seed, position), so batches and their order do not enter.
Not covered: that function (`token_sampling`), servers and GPUs' batch engines.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r1_pipeline.generation.engine import Progress, check_room
from r1_pipeline.generation.token_sampling import sample_tokens
from r1_pipeline.generation.tokens import load_tokenizer
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request, Sampling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache

FIRST_SEGMENT = 32
"""Tokens after which texts that go on are gathered for the first time."""


def engine_identity() -> str:
    """Kind, version and precision, without loading anything."""
    return f"transformers-{version('transformers')}/float32"


class HfEngine:
    """Generates with the checkpoint in `directory`, in float32."""

    def __init__(self, directory: Path, runtime: Runtime) -> None:
        import torch
        import transformers
        from transformers.utils.logging import disable_progress_bar

        torch.set_num_threads(runtime.threads)
        disable_progress_bar()  # "Loading weights"
        self._runtime = runtime
        self._tokenizer = load_tokenizer(directory, padding_side="left")
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, use_safetensors=True)
        self._model = model.to(runtime.device).eval()
        self.identity = engine_identity()

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """One completion for each request, in order. Texts of like length share a batch, which spares padding."""
        prompts = self._tokenizer([r.prompt for r in requests], return_token_type_ids=False)["input_ids"]
        check_room(requests, prompts, sampling, self._model.config.max_position_embeddings)
        texts = [
            _Text(prompt, np.random.default_rng(request.seed))
            for prompt, request in zip(prompts, requests, strict=True)
        ]
        for end in segment_ends(sampling.max_tokens):
            going = sorted((text for text in texts if not text.ended), key=lambda text: len(text.prompt))
            for start in range(0, len(going), self._runtime.generation_batch):
                self._continue(going[start : start + self._runtime.generation_batch], end, sampling)
                if progress:
                    progress(sum(text.ended for text in texts), len(texts))
        return [self._completion(request, text) for request, text in zip(requests, texts, strict=True)]

    def usage(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        """Let go of the weights."""
        del self._model

    def _continue(self, texts: "Sequence[_Text]", end: int, sampling: Sampling) -> None:
        """Continue texts of equal progress until each has ended or has `end` tokens."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        stop, pad, more = self._tokenizer.eos_token_id, self._tokenizer.pad_token_id, end - len(texts[0].ids)
        begun = [(*text.prompt, *text.ids) for text in texts]
        place = {begin: row for row, begin in enumerate(dict.fromkeys(begun))}
        padded = self._tokenizer.pad({"input_ids": [list(begin) for begin in place]}, return_tensors="pt")
        unique = padded.to(self._runtime.device)
        copies_R = torch.tensor([place[begin] for begin in begun], device=self._runtime.device)
        length = unique["input_ids"].shape[1]
        numbers = np.stack([text.numbers.random(more) for text in texts])
        sampler = _TokenSampler(torch.from_numpy(numbers).to(self._runtime.device), length, sampling)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=unique["input_ids"][copies_R],
                attention_mask=unique["attention_mask"][copies_R],
                past_key_values=self._read(unique, copies_R),
                generation_config=GenerationConfig(
                    max_new_tokens=more, do_sample=False, eos_token_id=stop, pad_token_id=pad
                ),
                logits_processor=LogitsProcessorList([sampler]),
            )
        logprobs = torch.cat(sampler.logprobs_R1, dim=1).tolist()
        for text, row, chances in zip(texts, output[:, length:].tolist(), logprobs, strict=True):
            text.stopped = stop in row
            ids = row[: row.index(stop) + 1] if text.stopped else row
            text.ids += ids
            text.logprobs += chances[: len(ids)]
            text.ended = text.stopped or len(text.ids) == sampling.max_tokens

    def _read(self, unique: Mapping[str, "Tensor"], copies_R: "Tensor") -> "DynamicCache":
        """Keys and values of all tokens but the last: samples of one problem begin alike, which is computed once."""
        from transformers import DynamicCache

        ids, mask = unique["input_ids"][:, :-1], unique["attention_mask"][:, :-1]
        cache = DynamicCache(config=self._model.config)
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        self._model.base_model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache)
        cache.batch_select_indices(copies_R)
        return cache

    def _completion(self, request: Request, text: "_Text") -> Completion:
        body = text.ids[:-1] if text.stopped else text.ids
        return Completion(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            seed=request.seed,
            text=self._tokenizer.decode(body, skip_special_tokens=True),
            token_ids=tuple(text.ids),
            logprobs=tuple(text.logprobs),
            finish_reason="stop" if text.stopped else "length",
            engine=self.identity,
        )


def segment_ends(max_tokens: int) -> Iterator[int]:
    """How many tokens texts have where those that go on are gathered into fewer batches: a batch lasts as long as its
    longest text, and most are short. Each leg reads again what the one before wrote, so it doubles it."""
    end = FIRST_SEGMENT
    while end < max_tokens:
        yield end
        end *= 2
    yield max_tokens


@dataclass
class _Text:
    """A completion while it grows."""

    prompt: list[int]
    numbers: np.random.Generator
    """One for each token, in order."""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False
    """By the model itself."""
    ended: bool = False


class _TokenSampler:
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
        token_R1 = sample_tokens(scores_RV, self._uniform_RT[:, position, None], self._sampling)
        self.logprobs_R1.append(scores_RV.gather(-1, token_R1) - scores_RV.logsumexp(-1, keepdim=True))
        return torch.full_like(scores_RV, float("-inf")).scatter(-1, token_R1, 0.0)
