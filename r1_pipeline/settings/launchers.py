"""Launchers: the settings that choose which processes compute a stage.

    Inline       the calling process                                              nothing to start
    Subprocess   one process of its own, which frees all memory when it ends      runtime.launch
    Torchrun     a rank for each device, on one node or many                      runtime.launch
    RayTrain     a rank for each worker of a Ray cluster                          runtime.ray_train

A launcher changes where a verb runs, never its result, and so enters no fingerprint. Stages that train run on all
ranks, stages that only use a model on one, stages without a model in the calling process. `runtime` starts ranks and
`training.sharding` splits models.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Sharding = Literal["ddp", "fsdp2", "zero3"]
"""Distribution of a model over ranks: a copy each (DDP), or a shard each (PyTorch's FSDP2, DeepSpeed's ZeRO-3)."""


class LauncherSettings(BaseModel):
    """Base class of all launchers' settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def ranks(self) -> int:
        """Number of processes that train one model together."""
        return 1

    @property
    def keeps(self) -> Sharding:
        """Distribution of the model over these processes."""
        return "ddp"


class Inline(LauncherSettings):
    """Runs a stage in the process that calls the verb."""

    type: Literal["inline"] = "inline"


class Subprocess(LauncherSettings):
    """Runs each stage that uses a model in one process of its own."""

    type: Literal["subprocess"] = "subprocess"


class Torchrun(LauncherSettings):
    """Runs a stage on ranks that torchrun starts."""

    type: Literal["torchrun"] = "torchrun"
    processes: int
    """Number of ranks on each node, usually one per GPU."""
    sharding: Sharding
    nodes: int = 1
    rendezvous: str | None = None
    """Address HOST:PORT where the ranks of several nodes meet; None for this machine, which must be a node."""
    starter: tuple[str, ...] = ()
    """Command that runs its arguments once on every node, such as `srun --nodes=8 --ntasks-per-node=1`."""

    @property
    def ranks(self) -> int:
        return self.processes * self.nodes

    @property
    def keeps(self) -> Sharding:
        return self.sharding


class RayTrain(LauncherSettings):
    """Runs a stage on ranks that are workers of Ray Train."""

    type: Literal["ray"] = "ray"
    workers: int
    """Number of ranks: one per GPU, or one for every `Runtime.threads` CPUs."""
    sharding: Sharding
    address: str
    """`auto` on a node of the cluster, otherwise HOST:PORT of its head."""

    @property
    def ranks(self) -> int:
        return self.workers

    @property
    def keeps(self) -> Sharding:
        return self.sharding


AnyLauncher = Annotated[Inline | Subprocess | Torchrun | RayTrain, Field(discriminator="type")]
