"""What every text generator looks like, and which random numbers a sample gets.

An `Engine` turns `Request`s into `Completion`s in the same order. Each request carries its own seed, made from the run
seed, the problem and the sample index, so that shards, batches and their order cannot change what is sampled.
Not covered: the engines themselves (`fake_engine`, `hf`, `vllm`, `openai`) and which one runs (`engine_factory`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from r1_pipeline.data.templates import TemplateName, render
from r1_pipeline.errors import EngineError
from r1_pipeline.records import Completion, Problem, Request, Sampling

SHARD = 1024
"""Requests that are answered and kept together: what an interruption costs at most."""
Progress = Callable[[int, int], None]
"""Called with (completions done, completions in all)."""


class Engine(Protocol):
    """Anything that generates text."""

    @property
    def identity(self) -> str:
        """Names kind, version and precision; part of fingerprints."""
        ...

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """One completion for each request, in order; raises `EngineError` rather than skip one."""
        ...

    def usage(self) -> Mapping[str, float]:
        """What a server has charged since the last call; empty for an engine of one's own."""
        ...


def sample_seed(run_seed: int, problem_id: str, sample_index: int) -> int:
    """63-bit seed of one sample."""
    digest = hashlib.sha256(f"{run_seed}:{problem_id}:{sample_index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def request_hash(prompt: str) -> str:
    """What stands for all that a model was asked: the sha256 of the rendered prompt."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def requests_for(problems: Sequence[Problem], template: TemplateName, samples: int, run_seed: int) -> list[Request]:
    """`samples` requests for each problem, problem by problem."""
    return [
        Request(
            problem_id=problem.id,
            prompt=render(template, problem.question),
            sample_index=index,
            seed=sample_seed(run_seed, problem.id, index),
        )
        for problem in problems
        for index in range(samples)
    ]


def check_room(requests: Sequence[Request], prompts: Sequence[Sequence[int]], sampling: Sampling, context: int) -> None:
    """Raises `EngineError`, with the problem, if a prompt and the longest reply do not fit into the context."""
    for request, prompt in zip(requests, prompts, strict=True):
        if len(prompt) + sampling.max_tokens > context:
            raise EngineError(
                f"the prompt of problem {request.problem_id} has {len(prompt)} tokens and the reply up to "
                f"{sampling.max_tokens}, the engine has room for {context}; give it more, or shorten the reply"
            )
