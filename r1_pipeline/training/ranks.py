"""Processes that train one model together: how many there are, waiting for each other, agreeing.

Who starts them is the launcher's business (`r1_pipeline.runtime`). A run of one process is a group of one, for which
all of this is free.
"""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def together() -> bool:
    """Whether there are several."""
    import torch.distributed as dist

    return bool(dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


def wait() -> None:
    """Until all are here."""
    import torch.distributed as dist

    if together():
        dist.barrier()


def agreed(value: T) -> T:
    """The first one's value, for all."""
    import torch.distributed as dist

    values: list[Any] = [value]
    if together():
        dist.broadcast_object_list(values, src=0)
    agreed: T = values[0]
    return agreed


def summed(tensor: "Tensor") -> "Tensor":
    """`tensor`, which becomes the sum of those of all ranks."""
    import torch.distributed as dist

    if together():
        dist.all_reduce(tensor)
    return tensor
