"""An `Engine` generates text; this module defines its protocol and the random seed of each sample.

An `Engine` turns `Request`s into `Completion`s in the same order. Each request carries its own seed, computed from the
run seed, the problem and the sample index, so that shards, batches and their order cannot change what is sampled.
Not covered: the engines themselves (`fake_engine`, `hf`, `vllm`, `openai`) and which one runs (`engine_factory`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from r1_pipeline.data.templates import FORMS, TemplateName, render
from r1_pipeline.errors import EngineError
from r1_pipeline.records import Completion, Problem, Request, Sampling

SHARD = 1024
"""The number of requests completed and stored together, which is the most that an interruption can lose."""
Progress = Callable[[int, int], None]
"""A callback with the number of completions done, and of all."""


class Engine(Protocol):
    """A text generator."""

    @property
    def identity(self) -> str:
        """Kind, version and precision of the engine; part of fingerprints."""
        ...

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Returns one completion for each request, in order; raises `EngineError` rather than skip one."""
        ...

    def usage(self) -> Mapping[str, float]:
        """Returns what a server has charged since the last call; empty for a local engine."""
        ...


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """A text generator that can tell a completion while it is made."""

    def stream(self, request: Request, sampling: Sampling, heard: Callable[[str], None]) -> Completion:
        """Returns what `generate` returns for one request; `heard` gets its text so far at each token."""
        ...


def sample_seed(run_seed: int, problem_id: str, sample_index: int) -> int:
    """Returns the 63-bit seed of one sample."""
    digest = hashlib.sha256(f"{run_seed}:{problem_id}:{sample_index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def request_hash(prompt: str) -> str:
    """Returns the sha256 of a rendered prompt, which identifies a request."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def requests_for(problems: Sequence[Problem], template: TemplateName, samples: int, run_seed: int) -> list[Request]:
    """Returns `samples` requests for each problem, problem by problem."""
    return [
        request_for(template, problem.question, problem.id, index, sample_seed(run_seed, problem.id, index))
        for problem in problems
        for index in range(samples)
    ]


def request_for(template: TemplateName | None, question: str, problem_id: str, sample_index: int, seed: int) -> Request:
    """Returns the request that asks `question` in this form; None: the engine has a form of its own."""
    form = FORMS[template] if template else None
    return Request(
        problem_id=problem_id,
        prompt=render(template, question) if template else question,
        sample_index=sample_index,
        seed=seed,
        own=form is not None and form.own,
        opened=form is not None and form.own and form.opened,
    )


def check_room(requests: Sequence[Request], prompts: Sequence[Sequence[int]], sampling: Sampling, context: int) -> None:
    """Raises `EngineError`, with the problem, if a prompt and the longest reply do not fit into the context.

    `prompts` are token ids; `context` is the size of the context in tokens.
    """
    for request, prompt in zip(requests, prompts, strict=True):
        if len(prompt) + sampling.max_tokens > context:
            raise EngineError(
                f"the prompt of problem {request.problem_id} has {len(prompt)} tokens and the reply up to "
                f"{sampling.max_tokens}, the engine's context is {context}; raise it, or lower max_tokens"
            )
