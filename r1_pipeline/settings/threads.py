"""Distributes work over threads of this process, with a limit on the tasks that are held at once.

    for result in in_order(work, tasks, threads, ahead=threads): ...

`cluster` distributes work to other machines. Tasks that all fit in memory need only `ThreadPoolExecutor.map`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R],
    tasks: Iterable[T],
    threads: int,
    ahead: int,
    weight: Callable[[T], int] = lambda _: 0,
    heaviest: int = 0,
) -> Iterator[R]:
    """Yields the results of `work` in the order of the tasks; raises an error of `work` and drops later tasks.

    Once `ahead` tasks, or tasks of the total weight `heaviest`, are started or done, the next task is taken only after
    the first result was taken.
    """
    waiting: deque[tuple[int, Future[R]]] = deque()
    held = 0
    pool = ThreadPoolExecutor(threads)
    try:
        for task in tasks:
            waiting.append((weight(task), pool.submit(work, task)))
            held += waiting[-1][0]
            while len(waiting) > ahead or held > heaviest:
                done, first = waiting.popleft()
                held -= done
                yield first.result()
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)
