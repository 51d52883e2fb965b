"""Who computes a stage: the settings that `Runtime` holds.

    Inline       the calling process                                              nothing to start
    Subprocess   one process of its own, which gives all memory back at its end   runtime.launch

A launcher changes where the same verb runs, never what it means: it enters no fingerprint. Stages that train run on all
ranks, stages that only use a model on one, stages without a model in the calling process.
Not covered: how ranks are started and heard (`runtime`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class LauncherSettings(BaseModel):
    """Base of all launchers' settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def ranks(self) -> int:
        """Processes that train one model together."""
        return 1


class Inline(LauncherSettings):
    """The process that calls the verb."""

    type: Literal["inline"] = "inline"


class Subprocess(LauncherSettings):
    """One process for each stage that uses a model."""

    type: Literal["subprocess"] = "subprocess"


AnyLauncher = Annotated[Inline | Subprocess, Field(discriminator="type")]
