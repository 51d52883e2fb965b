"""Adapts a profile to the machine at hand: a TOML file overrides fields of its `Runtime`.

micro_batch = 4

[launcher]
type = "torchrun"
processes = 8
sharding = "fsdp2"
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from r1_pipeline.data.ingest.mapping import faults_of, parse_toml
from r1_pipeline.errors import RecipeError
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.recipe import Runtime


def with_runtime(profile: Profile, file: Path) -> Profile:
    """Returns `profile` with the runtime settings of `file`; raises `RecipeError` for a setting that does not exist."""
    try:
        said = parse_toml(file.read_text(encoding="utf-8"), str(file), TypeAdapter(dict[str, Any]))
        if moved := {"engine"} & said.keys() | ({"clip"} & dict(said.get("rollouts", {})).keys()):
            raise RecipeError(
                f"{file}: {', '.join(moved)} changes results and belongs to the recipe now (`Profile.with_engine` in a "
                "recipe file); keep [vllm], [openai] or [rollouts] here for memory, devices and addresses"
            )
        runtime = Runtime.model_validate({**profile.runtime.model_dump(), **said})
    except ValidationError as error:
        faults = "; ".join(faults_of(error))
        raise RecipeError(f"{file}: {faults}; docs/scaling.md lists the settings of a runtime") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read: {error}; make it a TOML file, or remove it") from error
    return replace(profile, runtime=runtime)
