"""The embedded engine runs transformers' `generate` with a separate random number for every token of every sample.

A token is a function of its logits and u(seed, position), so batches and their order do not matter.
Not covered: that function (`token_sampling`), the decoding loop (`decoding`), servers and GPUs' batch engines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r1_pipeline.data.templates import up_to
from r1_pipeline.engines import Transformers
from r1_pipeline.generation.decoding import decode
from r1_pipeline.generation.device import batches, load_options, prepare_torch, require_dtype, tokens_that_fit
from r1_pipeline.generation.engine import Progress, check_room
from r1_pipeline.generation.stopping import stop_criteria, up_to_stop
from r1_pipeline.generation.token_sampling import sample_tokens
from r1_pipeline.generation.tokens import asked_prompts, end_tokens, load_tokenizer
from r1_pipeline.recipe import Runtime, installed_version
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.rewards.format_check import whole_reply

if TYPE_CHECKING:
    from torch import Tensor

FLOAT32 = Transformers()


def engine_identity(spec: Transformers = FLOAT32) -> str:
    """Returns kind, version and precision, without loading anything."""
    return f"transformers-{installed_version('transformers')}/{spec.dtype}"


class HfEngine:
    """An engine that generates with the checkpoint in `directory`, in the precision of its spec."""

    def __init__(self, directory: Path, runtime: Runtime, spec: Transformers = FLOAT32) -> None:
        import transformers
        from transformers.utils.logging import disable_progress_bar

        require_dtype(spec.dtype, runtime.device)
        prepare_torch(runtime)
        disable_progress_bar()  # "Loading weights"
        self._runtime = runtime
        self._tokenizer = load_tokenizer(directory, padding_side="left")
        self._ends = end_tokens(directory, self._tokenizer)
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=spec.dtype, **load_options(runtime))
        self._model = model.to(runtime.device).eval()
        self.identity = engine_identity(spec)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Returns one completion for each request, in order; prompts of similar length share a batch, which saves
        padding.

        Raises `EngineError` if a prompt and the longest reply do not fit into the context.
        """
        asked, prompts = asked_prompts(requests, self._tokenizer)
        check_room(requests, prompts, sampling, self._model.config.max_position_embeddings)
        texts = [
            _Text(prompt, np.random.default_rng(request.seed))
            for prompt, request in zip(prompts, requests, strict=True)
        ]
        waiting = sorted(texts, key=lambda text: len(text.prompt))
        longest = [len(text.prompt) + sampling.max_tokens for text in waiting]
        for batch in batches(longest, self._runtime, tokens_that_fit(self._model)):
            self._complete(waiting[batch], sampling)
            if progress:
                progress(batch.stop, len(texts))
        rows = zip(requests, asked, texts, strict=True)
        return [self._completion(request, prompt, text, sampling.stop) for request, prompt, text in rows]

    def stream(self, request: Request, sampling: Sampling, heard: Callable[[str], None]) -> Completion:
        """Returns the completion that `generate` returns for one request; `heard` gets its text so far at each token.

        Raises `EngineError` if the prompt and the longest reply do not fit into the context.
        """
        [asked], prompts = asked_prompts([request], self._tokenizer)
        check_room([request], prompts, sampling, self._model.config.max_position_embeddings)
        text, ids = _Text(prompts[0], np.random.default_rng(request.seed)), list[int]()

        def chosen(token: int) -> None:
            ids.append(token)
            said = self._tokenizer.decode(ids, skip_special_tokens=True)
            heard(whole_reply(asked, up_to(said, sampling.stop)))

        self._complete([text], sampling, chosen)
        return self._completion(request, asked, text, sampling.stop)

    def usage(self) -> Mapping[str, float]:
        """Returns nothing: a local engine charges nothing."""
        return {}

    def close(self) -> None:
        """Releases the weights."""
        del self._model

    def _complete(
        self, texts: "Sequence[_Text]", sampling: Sampling, chosen: Callable[[int], None] | None = None
    ) -> None:
        """Completes each text, up to the maximum length in `sampling`; `chosen` gets each token of a single text."""
        import torch
        from transformers import GenerationConfig

        device, padding = self._runtime.device, self._tokenizer.pad_token_id
        prompts = self._tokenizer.pad({"input_ids": [text.prompt for text in texts]}, return_tensors="pt").to(device)
        numbers = np.stack([text.numbers.random(sampling.max_tokens) for text in texts])
        choose = _SeededChoice(torch.from_numpy(numbers).to(device), sampling, chosen)
        length, stops = prompts["input_ids"].shape[1], sampling.stop
        with torch.inference_mode():
            output = self._model.generate(
                **prompts,
                generation_config=GenerationConfig(
                    max_new_tokens=sampling.max_tokens, eos_token_id=list(self._ends), pad_token_id=padding
                ),
                custom_generate=partial(decode, choose=choose),
                stopping_criteria=stop_criteria(self._tokenizer, stops, length),
            )
        rows = zip(texts, output[:, length:].tolist(), choose.logprobs_RT.tolist(), strict=True)
        for text, row, chances in rows:
            end = next((at for at, token in enumerate(row) if token in self._ends), None)
            text.stopped = end is not None
            text.ids = row if end is None else row[: end + 1]
            if (ended := up_to_stop(self._tokenizer, text.ids, stops)) is not None:
                text.ids, text.stopped = ended, True
            text.logprobs = chances[: len(text.ids)]

    def _completion(self, request: Request, prompt: str, text: "_Text", stops: Sequence[str]) -> Completion:
        body = text.ids[:-1] if text.ids[-1] in self._ends else text.ids
        said = self._tokenizer.decode(body, skip_special_tokens=True)
        return Completion(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            seed=request.seed,
            text=whole_reply(prompt, up_to(said, stops)),
            token_ids=tuple(text.ids),
            logprobs=tuple(text.logprobs),
            finish_reason="stop" if text.stopped else "length",
            engine=self.identity,
        )


@dataclass
class _Text:
    """A completion in progress."""

    prompt: list[int]
    numbers: np.random.Generator
    """The source of the random numbers, one for each token, in order."""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False
    """True once the model or a stop string has ended the text."""


class _SeededChoice:
    """A function that chooses each token by its own random number and records the log-probability."""

    def __init__(self, uniform_RT: "Tensor", sampling: Sampling, chosen: Callable[[int], None] | None) -> None:
        self._uniform_RT = uniform_RT
        self._chosen = chosen
        self._sampling = sampling
        self._position_R = uniform_RT.new_zeros(len(uniform_RT)).long()
        self.logprobs_RT = uniform_RT.new_zeros(uniform_RT.shape)

    def __call__(self, scores_RV: "Tensor", row_R: "Tensor") -> "Tensor":
        position_R = self._position_R[row_R]
        token_R1 = sample_tokens(scores_RV, self._uniform_RT[row_R, position_R, None], self._sampling)
        chances_R1 = scores_RV.gather(-1, token_R1) - scores_RV.logsumexp(-1, keepdim=True)
        self.logprobs_RT[row_R, position_R] = chances_R1[:, 0].to(self.logprobs_RT.dtype)
        self._position_R[row_R] += 1
        if self._chosen is not None:
            self._chosen(int(token_R1[0, 0]))
        return token_R1
