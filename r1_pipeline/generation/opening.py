"""From `Runtime.engine` to an engine that has a checkpoint loaded, and back: memory is given back on leaving."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.engines import OpenAi, Transformers, Vllm
from r1_pipeline.generation import hf, openai, vllm
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.fleet import Fleet
from r1_pipeline.recipe import Runtime


@contextmanager
def open_engine(model: Checkpoint, runtime: Runtime, home: Path) -> Iterator[Engine]:
    """The engine of the runtime, answering as `model`: a fleet of them where there is a cluster. A server is asked from
    this process either way, and what it says is kept below `home`."""
    directory = model.path
    match runtime.engine:
        case OpenAi() as settings:
            name = openai.served_name(model.digest)
            yield openai.OpenAiEngine(settings, name, directory, home / "answers.sqlite")
        case _ if runtime.cluster is not None:
            yield Fleet(lambda: _loaded(directory, runtime), engine_identity(runtime), runtime.cluster)
        case _:
            with closing(_loaded(directory, runtime)) as engine:
                yield engine


def _loaded(directory: Path, runtime: Runtime) -> hf.HfEngine | vllm.VllmEngine:
    """One engine in this process."""
    if isinstance(runtime.engine, Vllm):
        return vllm.VllmEngine(directory, runtime.engine, runtime)
    return hf.HfEngine(directory, runtime)


def engine_identity(runtime: Runtime) -> str:
    """Of the engine that `open_engine` would give, without loading anything."""
    match runtime.engine:
        case Transformers():
            return hf.engine_identity()
        case Vllm() as settings:
            return vllm.engine_identity(settings)
        case OpenAi() as settings:
            return openai.engine_identity(settings)
