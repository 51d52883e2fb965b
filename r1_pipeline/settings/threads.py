"""Work spread over threads of this process, of which only so much is held as they can use.

    for result in in_order(work, tasks, threads, ahead=threads): ...

Not covered: work on other machines (`cluster`); tasks that all fit in memory, for which `ThreadPoolExecutor.map` does.
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
    """The results of `work`, in the order of the tasks; raises what it raises, and drops the tasks behind it.

    Once `ahead` tasks, or tasks of the weight `heaviest` together, are begun or done, the next one is taken only when
    the first result has been.
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
