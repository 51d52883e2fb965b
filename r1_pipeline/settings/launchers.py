"""Who computes a stage: the settings that `Runtime` holds.

    Inline       the calling process                                              nothing to start
    Subprocess   one process of its own, which gives all memory back at its end   runtime.launch
    Torchrun     a rank for each device, on one node or many                      runtime.launch
    RayTrain     a rank for each worker of a Ray cluster                          runtime.ray_train

A launcher changes where the same verb runs, never what it means: it enters no fingerprint. Stages that train run on all
ranks, stages that only use a model on one, stages without a model in the calling process.
Not covered: how ranks are started and heard (`runtime`), how a model is split (`training.sharding`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Sharding = Literal["ddp", "fsdp2", "zero3"]
"""What ranks keep of a model: a copy each (DDP), a shard each (PyTorch's FSDP2, DeepSpeed's ZeRO-3)."""


class LauncherSettings(BaseModel):
    """Base of all launchers' settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def ranks(self) -> int:
        """Processes that train one model together."""
        return 1

    @property
    def keeps(self) -> Sharding:
        """What each of them keeps of it."""
        return "ddp"


class Inline(LauncherSettings):
    """The process that calls the verb."""

    type: Literal["inline"] = "inline"


class Subprocess(LauncherSettings):
    """One process for each stage that uses a model."""

    type: Literal["subprocess"] = "subprocess"


class Torchrun(LauncherSettings):
    """Ranks started by torchrun."""

    type: Literal["torchrun"] = "torchrun"
    processes: int
    """Ranks on each node, usually one a GPU."""
    sharding: Sharding
    nodes: int = 1
    rendezvous: str | None = None
    """HOST:PORT where the ranks of several nodes meet; None is this machine, which must be one of them."""
    starter: tuple[str, ...] = ()
    """Command that starts its arguments once on every node, such as `srun --nodes=8 --ntasks-per-node=1`."""

    @property
    def ranks(self) -> int:
        return self.processes * self.nodes

    @property
    def keeps(self) -> Sharding:
        return self.sharding


class RayTrain(LauncherSettings):
    """Ranks that are workers of Ray Train."""

    type: Literal["ray"] = "ray"
    workers: int
    """Ranks: one a GPU, or one for every `Runtime.threads` CPUs."""
    sharding: Sharding
    address: str
    """`auto` on a node of the cluster, else HOST:PORT of its head."""

    @property
    def ranks(self) -> int:
        return self.workers

    @property
    def keeps(self) -> Sharding:
        return self.sharding


AnyLauncher = Annotated[Inline | Subprocess | Torchrun | RayTrain, Field(discriminator="type")]
