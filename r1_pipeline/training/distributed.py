"""Processes that train one model together: how many there are, waiting for each other, agreeing.

Who starts them is the launcher's business (`r1_pipeline.runtime`). A run of one process is a group of one, for which
all of this is free.
"""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether there are several."""
    import torch.distributed as dist

    return bool(dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


def barrier() -> None:
    """Until all are here."""
    import torch.distributed as dist

    if is_distributed():
        dist.barrier()


def broadcast(value: T) -> T:
    """The first one's value, for all."""
    import torch.distributed as dist

    values: list[Any] = [value]
    if is_distributed():
        dist.broadcast_object_list(values, src=0)
    broadcast: T = values[0]
    return broadcast


def all_reduce_sum(tensor: "Tensor") -> "Tensor":
    """`tensor`, which becomes the sum of those of all ranks."""
    import torch.distributed as dist

    if is_distributed():
        dist.all_reduce(tensor)
    return tensor
