"""From `Runtime.engine` to an engine that has a checkpoint loaded, and back: memory is given back on leaving."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.engines import OpenAi, Transformers, Vllm
from r1_pipeline.generation import hf, openai, vllm
from r1_pipeline.generation.engine import Engine
from r1_pipeline.recipe import Runtime


@contextmanager
def open_engine(model: Checkpoint, runtime: Runtime, home: Path) -> Iterator[Engine]:
    """The engine of the runtime, answering as `model`. What a server says is kept below `home`."""
    match runtime.engine:
        case Transformers():
            yield hf.HfEngine(model.path, runtime)
        case Vllm() as settings:
            with closing(vllm.VllmEngine(model.path, settings, runtime)) as engine:
                yield engine
        case OpenAi() as settings:
            name = openai.served_name(model.digest)
            yield openai.OpenAiEngine(settings, name, model.path, home / "answers.sqlite")


def engine_identity(runtime: Runtime) -> str:
    """Of the engine that `open_engine` would give, without loading anything."""
    match runtime.engine:
        case Transformers():
            return hf.engine_identity()
        case Vllm() as settings:
            return vllm.engine_identity(settings)
        case OpenAi() as settings:
            return openai.engine_identity(settings)
