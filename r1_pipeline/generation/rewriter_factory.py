"""The rewriter factory opens the rewriter that a recipe names, with its engine, and closes it.

Requests are sent in shards, so that an interruption loses at most one of them. Not covered: the prompts (`rewriting`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.engine_factory import engine_identity, open_engine, open_server
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.generation.rewriting import ByCheckpoint, ByServer, EngineRewriter, Rewriter
from r1_pipeline.generation.sampling import complete_requests
from r1_pipeline.generation.tokens import room_for
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Request


@contextmanager
def open_rewriter(
    writer: Checkpoint | None, how: ByCheckpoint | ByServer, runtime: Runtime, home: Path, draft: Draft
) -> Iterator[Rewriter]:
    """Opens the rewriter that `how` names; `writer` is its checkpoint, if it is one. Raises like `open_engine`."""
    template = writer.template if writer else None

    def complete(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
        return completions_of(complete_requests(engine, requests, how.sampling, template, draft))

    if isinstance(how, ByServer):
        engine = open_server(how.engine, how.model, runtime, home)
        name = f"server/{engine_identity(how.engine)}/{how.model}"
        yield EngineRewriter(name, None, how, lambda requests: complete(engine, requests), lambda _: True)
        return
    assert writer is not None
    fits = room_for(writer.path, how.sampling.max_tokens)
    with open_engine(writer, how.engine, runtime, home) as engine:
        yield EngineRewriter(writer.digest, writer.template, how, lambda requests: complete(engine, requests), fits)
