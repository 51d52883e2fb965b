"""Base classes of settings: a `Recipe` states what is computed and has an identity; a `Runtime` states how.

`fingerprint` hashes canonical JSON. Canonical JSON raises for any value that it cannot represent exactly. Nothing falls
back to `str()`, because a value that prints differently tomorrow would change the identity of every artifact
downstream. Concrete recipes are in the modules that use them (`training/grpo.py`, `data/toy_corpus.py`, …).
"""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from r1_pipeline.errors import RecipeError
from r1_pipeline.settings.cluster import Cluster
from r1_pipeline.settings.engines import AnyRolloutSettings, Colocated, OpenAiSettings, VllmSettings
from r1_pipeline.settings.launchers import AnyLauncher, Inline


class Recipe(BaseModel):
    """Base class of all settings that intentionally change the bytes of a result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def optional_inputs(self) -> Mapping[str, bool]:
        """Returns the optional inputs of its verb that the recipe decides: true for one that a node must have."""
        return {}


def require_optional(name: str, recipe: Recipe, given: Mapping[str, object]) -> None:
    """Checks that `given` has exactly the optional inputs that the recipe of `name` needs, among those that it decides;
    raises `RecipeError`."""
    decided = recipe.optional_inputs()
    wanted = {edge for edge, needed in decided.items() if needed}
    found = {edge for edge in decided if given.get(edge)}
    if found != wanted:
        raise RecipeError(
            f"{name} is given {' and '.join(sorted(found)) or 'none'} of the inputs {', '.join(sorted(decided))}, and "
            f"its recipe takes {' and '.join(sorted(wanted)) or 'none'}; give the node exactly those"
        )


class Runtime(BaseModel):
    """The place and manner of execution, which never enters a fingerprint, since it changes bytes only by accident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    """Device string of torch; recorded in the provenance."""
    threads: int = 1
    """Number of intra-op CPU threads of one stage."""
    lanes: int = 1
    """Number of stages that `r1 run` computes at once, each in a process of its own."""
    vllm: VllmSettings = VllmSettings()
    """Settings of vLLM on this machine, for recipes that sample with it."""
    openai: OpenAiSettings | None = None
    """Settings of the server, for recipes that sample from one."""
    judges: Mapping[str, OpenAiSettings] = {}
    """Name of a judge of benchmarks -> settings of its server."""
    rollouts: AnyRolloutSettings = Colocated()
    """Placement of vLLM during RL, for recipes with rollouts by vLLM."""
    cluster: Cluster | None = None
    """Ray cluster that shares sampling, grading and screening of large tables; None for this process only."""
    launcher: AnyLauncher = Inline()
    """Choice of the processes that compute a stage with a model."""
    generation_batch: int = 512
    """Number of completions generated at once, which trades memory for speed."""
    generation_tokens: int | None = None
    """Number of tokens, prompts and longest possible replies together, that the embedded engine generates, or a reward
    model scores, at once; None for as many as fit into half of the free memory (embedded engine), or no bound except
    `generation_batch` (rollouts, reward models)."""
    micro_batch: int = 128
    """Sequences in one forward and backward pass, which trades memory for speed; recipes set the effective batch."""
    recompute: bool = False
    """True to recompute activations in the backward pass, which saves memory."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] | None = None
    """Attention implementation of transformers; None for its own choice, which is `sdpa` where a model supports it."""
    tf32: bool = True
    """True if float32 products on CUDA run in TF32, with a mantissa of 10 bits; nothing else is affected."""
    models: Mapping[str, str] = {}
    """Content digest of a local model that no hub has -> its directory, or the folder with its wheels."""
    folders: dict[str, str] = {}
    """Name of a user's source -> folder of its files on this machine."""


class AddedField:
    """Marks a field that was added to a recipe later: `Annotated[Precision, AddedField()] = "float32"`.

    At its default, which is the recipe's earlier meaning, the field is left out of canonical JSON, so that existing
    artifacts stay valid.
    """


Precision = Literal["float32", "bfloat16", "float8"]
"""Number format of matrix products in training; weights and optimizer stay in float32 (`training.precision`)."""


def _entering(record: BaseModel) -> dict[str, Any]:
    """Returns the fields of `record` that enter canonical JSON: added ones (`AddedField`, `exclude_if`) stay out while
    they say nothing."""
    entering = {}
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        added = value == field.default and any(isinstance(mark, AddedField) for mark in field.metadata)
        if not added and not (field.exclude_if and field.exclude_if(value)):
            entering[name] = value
    return entering


def _checked(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RecipeError(f"{path} is {value!r}; only finite numbers can be fingerprinted")
        return value
    if isinstance(value, BaseModel):
        return {k: _checked(v, f"{path}.{k}") for k, v in _entering(value).items()}
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise RecipeError(f"{path} has keys that are not strings; use strings")
        return {k: _checked(v, f"{path}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(v, f"{path}[{i}]") for i, v in enumerate(value)]
    raise RecipeError(
        f"{path} is a {type(value).__name__}, which has no canonical JSON; use numbers, strings, lists or records"
    )


def canonical_value(value: Any) -> Any:
    """Converts `value` to plain dicts, lists and scalars; raises like `canonical_json`."""
    return json.loads(canonical_json(value))


def canonical_json(value: Any) -> str:
    """Writes the one JSON text of a value: sorted keys, no spaces, ASCII.

    Raises `RecipeError` for NaN, infinities, non-string keys and types that JSON does not have.
    """
    return json.dumps(
        _checked(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def fingerprint(payload: Any) -> str:
    """Hashes the canonical JSON of `payload` with sha256; returns 64 hex digits."""
    return hashlib.sha256(canonical_json(payload).encode()).hexdigest()


@cache
def installed_version(package: str) -> str:
    """Returns the version of an installed package, for identities; it is looked up once per process."""
    return version(package)


def flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Flattens a nested mapping to pairs of dotted path and scalar; lists stay whole."""
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    return [pair for key, inner in value.items() for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))]
