"""What is computed (`Recipe`) and how (`Runtime`), and the identity that follows from the first.

`fingerprint` hashes canonical JSON. Canonical JSON raises on whatever it cannot represent exactly: nothing falls
back to `str()`, because a value that prints differently tomorrow would fork every artifact below it.
Concrete recipes stand beside their consumers (`training/grpo.py`, `data/toy_corpus.py`, …).
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from r1_pipeline.errors import RecipeError
from r1_pipeline.settings.cluster import Cluster
from r1_pipeline.settings.engines import AnyRolloutSettings, OpenAiSettings, VllmSettings
from r1_pipeline.settings.launchers import AnyLauncher, Inline


class Recipe(BaseModel):
    """Base of everything that can change the bytes of a result on purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def optional_inputs(self) -> frozenset[str] | None:
        """Those of its verb's optional inputs that a node must have, and no other; None: the recipe has no say."""
        return None


def require_optional(name: str, recipe: Recipe, given: Mapping[str, object]) -> None:
    """Raises `RecipeError` unless exactly those of the optional inputs are there that the recipe of `name` wants."""
    wanted = recipe.optional_inputs()
    found = frozenset(edge for edge, value in given.items() if value)
    if wanted is not None and found != wanted:
        raise RecipeError(
            f"{name} is given {' and '.join(sorted(found)) or 'none'} of the inputs {', '.join(sorted(given))}, and "
            f"its recipe takes {' and '.join(sorted(wanted)) or 'none'}; give the node that and no other"
        )


class Runtime(BaseModel):
    """How and where work runs; can change bytes only by accident, so it never enters a fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    """torch device string; recorded in Provenance."""
    threads: int = 1
    """Intra-op CPU threads of one stage."""
    lanes: int = 1
    """Stages that `r1 run` computes at once, each in a process of its own."""
    vllm: VllmSettings | None = None
    """How vLLM runs here, where a recipe samples with it."""
    openai: OpenAiSettings | None = None
    """Which server is asked, and how, where a recipe samples from one."""
    rollouts: AnyRolloutSettings | None = None
    """Where vLLM runs while a policy is reinforced, where a recipe's rollouts are vLLM's."""
    cluster: Cluster | None = None
    """A Ray cluster over which sampling, judging and screening of large tables are spread; None: this process alone."""
    launcher: AnyLauncher = Inline()
    """Which processes compute a stage that needs a model."""
    generation_batch: int = 512
    """Completions generated at once; a memory dial."""
    micro_batch: int = 128
    """Sequences in one forward/backward pass; a memory dial, the effective batch is the Recipe's."""
    recompute: bool = False
    """Whether activations are computed again in the backward pass instead of being kept; a memory dial."""
    models: Mapping[str, str] = {}
    """Where models lie that no hub has: content digest -> directory."""
    folders: dict[str, str] = {}
    """Where the files of a user's sources lie on this machine, by the name of the source."""


class AddedField:
    """Marks a field that its recipe did not always have: `Annotated[Precision, AddedField()] = "float32"`.

    At its default, which is what the recipe meant before, it stays out of canonical JSON: what exists stays valid.
    """


Precision = Literal["float32", "bfloat16", "float8"]
"""Of the matrix products in training; weights and optimizer stay in float32. See `training.precision`."""


def _entering(record: BaseModel) -> dict[str, Any]:
    """Fields of `record` that canonical JSON has."""
    return {
        name: getattr(record, name)
        for name, field in type(record).model_fields.items()
        if getattr(record, name) != field.default or not any(isinstance(mark, AddedField) for mark in field.metadata)
    }


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
    """`value` as plain dicts, lists and scalars; raises like `canonical_json`."""
    return json.loads(canonical_json(value))


def canonical_json(value: Any) -> str:
    """One JSON text per value: sorted keys, no spaces, ASCII.

    Raises `RecipeError` on NaN, infinities, non-string keys and types that JSON does not have.
    """
    return json.dumps(
        _checked(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def fingerprint(payload: Any) -> str:
    """sha256 of the canonical JSON of `payload`; 64 hex digits."""
    return hashlib.sha256(canonical_json(payload).encode()).hexdigest()


def flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted path, scalar) of a nested mapping; lists stay whole."""
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    return [pair for key, inner in value.items() for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))]
