"""Laws of work on threads: results in the order of the tasks, no more tasks held than allowed, nothing left behind."""

from collections.abc import Iterator
from threading import Event

import pytest

from r1_pipeline.settings.threads import in_order


def counted(taken: list[int]) -> Iterator[int]:
    for number in range(1, 1000):
        taken.append(number)
        yield number


def test_results_come_in_the_order_of_the_tasks_though_the_first_is_done_last() -> None:
    """The first task waits for the second, which another thread has done by then."""
    second = Event()

    def work(task: int) -> int:
        if task == 2:
            second.set()
        assert task != 1 or second.wait(60)
        return 10 * task

    assert list(in_order(work, [1, 2, 3], threads=2, ahead=2)) == [10, 20, 30]


def test_a_task_is_taken_when_there_is_room_for_it_and_not_before() -> None:
    """The fourth task is taken to get the first result, with a limit of 3, and one more for each next result."""
    taken: list[int] = []
    results = in_order(lambda task: task, counted(taken), threads=2, ahead=3)
    assert next(results) == 1
    assert taken == [1, 2, 3, 4]
    assert (next(results), taken[-1]) == (2, 5)
    results.close()


def test_heavy_tasks_are_held_by_weight() -> None:
    """The first sum above 9 is 1 + 2 + 3 + 4; 2 + 3 + 4 is not above it; adding 5 gives 14, and without 2 and 3, 9."""
    taken: list[int] = []
    results = in_order(lambda task: task, counted(taken), 2, 99, weight=lambda task: task, heaviest=9)
    assert (next(results), taken[-1]) == (1, 4)
    assert (next(results), next(results), taken[-1]) == (2, 3, 5)
    results.close()


def test_what_fails_is_raised_in_its_place_and_what_waits_is_not_begun() -> None:
    """One thread; 51 tasks are given to it before the first result is asked for, those behind the failure slow ones."""
    begun = []

    def work(task: int) -> int:
        begun.append(task)
        if task == 2:
            raise ValueError("two")
        Event().wait(0.1 if task > 2 else 0)
        return task

    results = in_order(work, range(1, 100), threads=1, ahead=50)
    assert next(results) == 1
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert len(begun) < 51
