"""The engine factory opens the engine that a recipe names with a checkpoint, and frees its memory on leaving.

Every engine is an entry of `ENGINES`; an unknown engine is an error, and no other engine replaces it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from r1_pipeline.engines import ENGINE_SPECS, EngineSpec, OpenAi
from r1_pipeline.errors import RequirementError
from r1_pipeline.generation import hf, openai, vllm
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.ray_engine import RayEngine
from r1_pipeline.recipe import Runtime
from r1_pipeline.registry import Registry
from r1_pipeline.settings.engines import OpenAiSettings

ANSWERED = "answers.sqlite"
"""The file of servers' replies, below the home."""
NO_SERVER = "the recipe samples from a server and the runtime names none; add [openai] to runtime.toml"


class Loadable(Protocol):
    """A model that an engine can load: a checkpoint of the graph, or a directory from elsewhere."""

    @property
    def path(self) -> Path:
        """The directory of weights and tokenizer."""

    @property
    def digest(self) -> str:
        """The digest or name that identifies the weights."""


@dataclass(frozen=True)
class EngineKind:
    """The description of an engine: how to name it and how to open it."""

    identity: Callable[[Any], str]
    """The function from a spec to name, version and precision, which loads nothing; fingerprints and completions
    contain the result."""
    load: Callable[[Loadable, Any, Runtime, Path], Engine]
    """The function (model, spec, runtime, home) -> the engine with that model."""
    on_cluster: bool = True
    """A Ray cluster runs copies of the engine if true; a server is called from this process either way."""
    missing: Callable[[Runtime], str | None] = lambda _: None
    """The function from a runtime to the setting or package that the engine misses there, with the remedy; None if it
    misses nothing."""


def _vllm(model: Loadable, spec: Any, runtime: Runtime, _: Path) -> Engine:
    return vllm.VllmEngine(model.path, spec, runtime.vllm, runtime)


def _openai(model: Loadable, spec: Any, runtime: Runtime, home: Path) -> Engine:
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
            hf.engine_identity, lambda model, spec, runtime, _: hf.HfEngine(model.path, runtime, spec)
        ),
        "vllm": EngineKind(vllm.engine_identity, _vllm, missing=lambda _: vllm.vllm_is_absent()),
        "openai": EngineKind(
            openai.engine_identity,
            _openai,
            on_cluster=False,
            missing=lambda runtime: None if runtime.openai else NO_SERVER,
        ),
    },
)
"""All engines, by the `type` of their spec."""


def add_engine(spec: type[EngineSpec], kind: EngineKind) -> None:
    """Adds a recipe file's own engine; raises `RecipeError` for a name that is taken."""
    name = spec.model_fields["type"].default
    ENGINE_SPECS.add(name, spec)
    ENGINES.add(name, kind)


@contextmanager
def open_engine(model: Loadable, spec: EngineSpec, runtime: Runtime, home: Path) -> Iterator[Engine]:
    """Opens the engine that `spec` names with `model`, or many of them on Ray where there is a cluster.

    The replies of a server are stored below `home`. Raises `RequirementError` if the runtime lacks its settings.
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
    """Opens the server that the runtime names with any `model`, as text; raises `RequirementError` if it names none."""
    return openai.OpenAiEngine(spec, _server(runtime), model, None, home / ANSWERED)


def judge_server(name: str, runtime: Runtime) -> OpenAiSettings:
    """Returns the settings of the server of a judge; raises `RequirementError` if the runtime names none."""
    if name not in runtime.judges:
        raise RequirementError(
            f'the judge {name} has no server; name one with --judge URL#NAME, or add [judges."{name}"] with base_url '
            "to runtime.toml"
        )
    return runtime.judges[name]


def open_judge(name: str, runtime: Runtime, home: Path) -> openai.OpenAiEngine:
    """Opens the server of a judge, whose replies are stored below `home`; raises like `judge_server`."""
    return openai.OpenAiEngine(OpenAi(runs=name), judge_server(name, runtime), name, None, home / ANSWERED)


def engines_in(recipe: BaseModel) -> Iterator[EngineSpec]:
    """Yields the engines that a recipe names at any depth."""
    for name in type(recipe).model_fields:
        value = getattr(recipe, name)
        if type(value) in ENGINE_SPECS.values():
            yield value
        elif isinstance(value, BaseModel):
            yield from engines_in(value)


def engine_identity(spec: EngineSpec) -> str:
    """Returns the name, version and precision of the engine that `open_engine` would open, without loading anything."""
    return ENGINES[spec.type].identity(spec)
