"""How an accepted completion becomes the text that the next model learns.

Rejection sampling keeps it word for word. Cold start rewrites it into reasoning and a clean summary (the paper lets
DeepSeek-V3 do this; at tiny size a template does). A rewriter that cannot rewrite a row returns None, and the row is
dropped and counted. Not covered: which rows are accepted (`data.screening.replies`).
"""

from collections.abc import Sequence
from typing import Protocol

from r1_pipeline.data.templates import reply, split_reply, summarize
from r1_pipeline.generation.engine import Engine, sample_seed
from r1_pipeline.records import Problem, Record, Request, Sampling


class Accepted(Record):
    """A completion that passed the screen, with its problem."""

    problem: Problem
    text: str
    reasoning: str
    final: str
    sample_index: int


class Rewriter(Protocol):
    """Turns accepted completions into responses in the chat form."""

    @property
    def identity(self) -> str:
        """`name@version`; part of the fingerprint."""
        ...

    def rewrite(self, accepted: Sequence[Accepted]) -> list[str | None]:
        """One response for each row, in order; None where it cannot be done."""
        ...


class Verbatim:
    """What the model said, without the space around it."""

    identity = "verbatim@1"

    def rewrite(self, accepted: Sequence[Accepted]) -> list[str | None]:
        return [row.text.strip() for row in accepted]


class TemplateRewriter:
    """The same reasoning, and a summary that states the final answer the way the chat form wants it."""

    identity = "template@1"

    def rewrite(self, accepted: Sequence[Accepted]) -> list[str | None]:
        return [reply(row.reasoning, summarize(row.problem.domain, row.final)) for row in accepted]


REWRITE_REQUEST = (
    "Below are a question and somebody's thoughts on it. Say the thoughts again, clearly and in the language of the "
    "question, adding no new step; then give a short solution that ends with the final answer. Use this form: "
    "<think>thoughts</think>solution\n\nQuestion: {question}\n\nThoughts: {reasoning}\n\nFinal answer: {final}\n"
)


class EngineRewriter:
    """Lets any engine rewrite; a reply that lacks either part counts as not rewritten."""

    def __init__(self, engine: Engine, sampling: Sampling, seed: int) -> None:
        self._engine, self._sampling, self._seed = engine, sampling, seed
        self.identity = f"engine@1/{engine.identity}"

    def rewrite(self, accepted: Sequence[Accepted]) -> list[str | None]:
        requests = [
            Request(
                problem_id=row.problem.id,
                prompt=REWRITE_REQUEST.format(question=row.problem.question, reasoning=row.reasoning, final=row.final),
                sample_index=row.sample_index,
                seed=sample_seed(self._seed, row.problem.id, row.sample_index),
            )
            for row in accepted
        ]
        parts = [split_reply("chat", c.text) for c in self._engine.generate(requests, self._sampling)]
        return [reply(p.reasoning, p.final) if p.reasoning and p.final else None for p in parts]
