"""From `Runtime.engine` to an engine that has a checkpoint loaded, and back: memory is given back on leaving.

Every engine has a case of its own: one that is not known here is an error, never another engine in its place.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import assert_never

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
    directory, settings = model.path, runtime.engine
    match settings:
        case OpenAi():
            name = openai.served_name(model.digest)
            yield openai.OpenAiEngine(settings, name, directory, home / "answers.sqlite")
        case Transformers() | Vllm() if runtime.cluster is not None:
            yield Fleet(lambda: _loaded(directory, settings, runtime), engine_identity(runtime), runtime.cluster)
        case Transformers() | Vllm():
            with closing(_loaded(directory, settings, runtime)) as engine:
                yield engine
        case _:
            assert_never(settings)


def _loaded(directory: Path, settings: Transformers | Vllm, runtime: Runtime) -> hf.HfEngine | vllm.VllmEngine:
    """One engine in this process."""
    match settings:
        case Transformers():
            return hf.HfEngine(directory, runtime)
        case Vllm():
            return vllm.VllmEngine(directory, settings, runtime)
        case _:
            assert_never(settings)


def engine_identity(runtime: Runtime) -> str:
    """Of the engine that `open_engine` would give, without loading anything."""
    match runtime.engine:
        case Transformers():
            return hf.engine_identity()
        case Vllm() as settings:
            return vllm.engine_identity(settings)
        case OpenAi() as settings:
            return openai.engine_identity(settings)
        case unknown:
            assert_never(unknown)
