"""This module lets the processes that train one model count, wait for and agree with each other.

The launcher starts them (`r1_pipeline.runtime`). A run of one process is a group of one, where all of this costs
nothing.
"""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def is_distributed() -> bool:
    """Returns true if there are several processes."""
    import torch.distributed as dist

    return bool(dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


def rank() -> int:
    """Returns the number of this process in its group, from 0."""
    import torch.distributed as dist

    return dist.get_rank() if is_distributed() else 0


def barrier() -> None:
    """Waits until all processes have called it."""
    import torch.distributed as dist

    if is_distributed():
        dist.barrier()


def broadcast(value: T) -> T:
    """Returns the value of the first process, in all processes."""
    import torch.distributed as dist

    values: list[Any] = [value]
    if is_distributed():
        dist.broadcast_object_list(values, src=0)
    broadcast: T = values[0]
    return broadcast


def all_reduce_max(tensor: "Tensor") -> "Tensor":
    """Replaces `tensor` by the maximum over all ranks, in place, and returns it."""
    import torch.distributed as dist

    if is_distributed():
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


def all_reduce_sum(tensor: "Tensor") -> "Tensor":
    """Replaces `tensor` by the sum over all ranks, in place, and returns it."""
    import torch.distributed as dist

    if is_distributed():
        dist.all_reduce(tensor)
    return tensor
