"""From the engine that a recipe names to one that has a checkpoint loaded, and back: memory is given back on leaving.

Every engine is an entry of `ENGINES`; one that is not known is an error, never another engine in its place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.engines import ENGINE_SPECS, EngineSpec, OpenAi
from r1_pipeline.errors import RequirementError
from r1_pipeline.generation import hf, openai, vllm
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.ray_engine import RayEngine
from r1_pipeline.recipe import Runtime
from r1_pipeline.registry import Registry
from r1_pipeline.settings.engines import OpenAiSettings

ANSWERED = "answers.sqlite"
"""What servers said, below the home."""
NO_VLLM = "the recipe samples with vLLM and the runtime says nothing of it; add [vllm] to runtime.toml"
NO_SERVER = "the recipe asks a server and the runtime names none; add [openai] to runtime.toml"


@dataclass(frozen=True)
class EngineKind:
    """What must be known of an engine to name and to open it."""

    identity: Callable[[Any], str]
    """Spec -> name, version and precision, without loading anything; stands in fingerprints and completions."""
    load: Callable[[Checkpoint, Any, Runtime, Path], Engine]
    """(model, spec, runtime, home) -> the engine, answering as the model."""
    on_cluster: bool = True
    """Whether a Ray cluster holds copies of it; a server is asked from this process either way."""
    missing_setting: Callable[[Runtime], str | None] = lambda _: None
    """What it needs of the runtime, which the runtime does not have, and the remedy; None: nothing."""


def _vllm(model: Checkpoint, spec: Any, runtime: Runtime, _: Path) -> Engine:
    if runtime.vllm is None:
        raise RequirementError(NO_VLLM)
    return vllm.VllmEngine(model.path, spec, runtime.vllm, runtime)


def _openai(model: Checkpoint, spec: Any, runtime: Runtime, home: Path) -> Engine:
    name = openai.served_name(model.digest)
    return openai.OpenAiEngine(spec, _server(runtime), name, model.path, home / ANSWERED)


def _server(runtime: Runtime) -> OpenAiSettings:
    if runtime.openai is None:
        raise RequirementError(NO_SERVER)
    return runtime.openai


ENGINES: Registry[EngineKind] = Registry(
    "engine",
    {
        "transformers": EngineKind(
            lambda _: hf.engine_identity(), lambda model, _, runtime, __: hf.HfEngine(model.path, runtime)
        ),
        "vllm": EngineKind(
            vllm.engine_identity, _vllm, missing_setting=lambda runtime: None if runtime.vllm else NO_VLLM
        ),
        "openai": EngineKind(
            openai.engine_identity,
            _openai,
            on_cluster=False,
            missing_setting=lambda runtime: None if runtime.openai else NO_SERVER,
        ),
    },
)
"""Every engine, by the `type` of its spec."""


def add_engine(spec: type[EngineSpec], kind: EngineKind) -> None:
    """Adds an engine of a recipe file's own; raises `RecipeError` for a name that is taken."""
    name = spec.model_fields["type"].default
    ENGINE_SPECS.add(name, spec)
    ENGINES.add(name, kind)


@contextmanager
def open_engine(model: Checkpoint, spec: EngineSpec, runtime: Runtime, home: Path) -> Iterator[Engine]:
    """The engine that `spec` names, answering as `model`: many on Ray where there is a cluster.

    What a server says is kept below `home`. Raises `RequirementError` where the runtime lacks its settings.
    """
    kind = ENGINES[spec.type]
    if runtime.cluster is not None and kind.on_cluster:
        yield RayEngine(lambda: kind.load(model, spec, runtime, home), kind.identity(spec), runtime.cluster)
        return
    engine = kind.load(model, spec, runtime, home)
    try:
        yield engine
    finally:
        if close := getattr(engine, "close", None):
            close()


def open_server(spec: OpenAi, model: str, runtime: Runtime, home: Path) -> Engine:
    """Anybody's `model` on the server that the runtime names, asked as text; raises `RequirementError` without one."""
    return openai.OpenAiEngine(spec, _server(runtime), model, None, home / ANSWERED)


def engines_in(recipe: BaseModel) -> Iterator[EngineSpec]:
    """The engines that a recipe names, wherever in it they stand."""
    for name in type(recipe).model_fields:
        value = getattr(recipe, name)
        if type(value) in ENGINE_SPECS.values():
            yield value
        elif isinstance(value, BaseModel):
            yield from engines_in(value)


def engine_identity(spec: EngineSpec) -> str:
    """Name, version and precision of the engine that `open_engine` would give, without loading anything."""
    return ENGINES[spec.type].identity(spec)
