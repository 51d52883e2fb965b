"""The law of retries: transient errors are retried with growing back-off, and other errors are not."""

import errno

import dagster as dg
import pytest

from dagster_defs import pipeline
from dagster_defs.pipeline import MAX_ATTEMPTS, retry_transient
from r1_pipeline.errors import (
    GateFailedError,
    GraderBusyError,
    GuardTrippedError,
    NoSandboxError,
    OutOfDiskError,
    RecipeError,
    SourceError,
    UnreachableError,
)


def attempts(monkeypatch: pytest.MonkeyPatch, error: Exception, failures: int) -> tuple[int, bool]:
    """Returns the number of attempts at an asset that raises `error` that many times, and whether it succeeds."""
    monkeypatch.setattr(pipeline, "INITIAL_BACKOFF_S", 0.0)
    tried = 0

    @dg.asset
    def flaky(context: dg.AssetExecutionContext) -> None:
        nonlocal tried
        tried += 1
        with retry_transient(context):
            if tried <= failures:
                raise error

    with dg.DagsterInstance.ephemeral() as instance:
        ended = dg.materialize([flaky], instance=instance, raise_on_error=False)
    return tried, ended.success


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("no answer"),
        GraderBusyError("starved"),
        ConnectionResetError("reset"),
        TimeoutError("slow"),
        OSError(errno.ESTALE, "nfs"),
    ],
)
def test_what_may_pass_by_itself_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts(monkeypatch, error, failures=2) == (3, True)


def test_what_does_not_pass_fails_after_so_many_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts(monkeypatch, ConnectionRefusedError("refused"), failures=99) == (MAX_ATTEMPTS, False)


@pytest.mark.parametrize(
    "error",
    [
        GateFailedError("0.4 < 0.5"),
        NoSandboxError("no bubblewrap"),
        GuardTrippedError("entropy 0"),
        RecipeError("no such thing"),
        SourceError("line 3"),
        OutOfDiskError(errno.ENOSPC, "full"),
        ValueError("a fault of the program"),
    ],
)
def test_what_a_person_must_mend_is_tried_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts(monkeypatch, error, failures=1) == (1, False)


def test_each_pause_is_twice_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "INITIAL_BACKOFF_S", 5.0)
    pauses = []
    for number in range(3):
        context = dg.build_asset_context()
        monkeypatch.setattr(type(context), "retry_number", number, raising=False)
        with pytest.raises(dg.RetryRequested) as asked, retry_transient(context):
            raise TimeoutError
        pauses.append(asked.value.seconds_to_wait)
    assert pauses == [5.0, 10.0, 20.0]
