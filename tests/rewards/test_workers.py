"""Children may hang, die, print nonsense or fail to start; the pool replies in time and stays usable."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from r1_pipeline.errors import GraderBusyError, GraderError, may_pass
from r1_pipeline.rewards.workers import WorkerPool

PATIENCE_S = 120.0
SCRIPT = """
import json, os, sys, time
print('{"ready": true}', flush=True)
for line in sys.stdin:
    order = json.loads(line)
    match order["do"]:
        case "hang": time.sleep(600)
        case "die": os._exit(1)
        case "babble": print("{]", flush=True)
        case "flood": print("x" * (8 << 20), flush=True)
        case "echo": print(json.dumps({"pid": os.getpid(), "value": order["value"]}), flush=True)
"""


@pytest.fixture
def pool(tmp_path):
    pool = _pool(tmp_path, SCRIPT)
    yield pool
    pool.close()


def _pool(folder: Path, script: str, **settings) -> WorkerPool:
    (folder / "child.py").write_text(script)
    return WorkerPool(folder / "child.py", **{"size": 1, "flags": ("-I", "-S"), "recycle_after": 1000, **settings})


def echo(pool, value):
    return pool.ask({"do": "echo", "value": value}, PATIENCE_S)


@pytest.mark.parametrize(
    ("order", "limit_s", "status"),
    [
        ("hang", 0.5, "timeout"),
        ("die", PATIENCE_S, "died"),
        ("babble", PATIENCE_S, "died"),
        ("flood", PATIENCE_S, "died"),
    ],
)
def test_whatever_a_child_does_the_next_request_is_answered(pool, order, limit_s, status):
    assert pool.ask({"do": order}, limit_s).status == status
    assert echo(pool, 7).value["value"] == 7


def test_a_megabyte_goes_through_in_both_directions(pool):
    assert echo(pool, "y" * (1 << 20)).value["value"] == "y" * (1 << 20)


def test_requests_of_many_threads_do_not_mix(tmp_path):
    pool = _pool(tmp_path, SCRIPT, size=2)
    with ThreadPoolExecutor(8) as threads:
        assert [reply.value["value"] for reply in threads.map(lambda n: echo(pool, n), range(200))] == list(range(200))
    pool.close()


def test_a_child_is_replaced_after_its_term(tmp_path):
    pool = _pool(tmp_path, SCRIPT, recycle_after=2)
    pids = [echo(pool, n).value["pid"] for n in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    pool.close()


def test_a_child_that_cannot_start_is_the_machinerys_fault(tmp_path):
    pool = _pool(tmp_path, "import no_such_module")
    with pytest.raises(GraderError, match=r"child\.py did not start: exit code 1"):
        echo(pool, 1)
    pool = _pool(tmp_path, """print('{"ready": false, "error": "no parser"}', flush=True)""")
    with pytest.raises(GraderError, match=r"child\.py cannot work here: no parser") as raised:
        echo(pool, 1)
    assert not may_pass(raised.value)


def test_a_child_that_is_ended_before_it_is_ready_may_start_later(tmp_path):
    pool = _pool(tmp_path, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(
        GraderBusyError, match=r"child\.py did not start \(signal 9\).*run the same command again"
    ) as raised:
        echo(pool, 1)
    assert may_pass(raised.value)
    (tmp_path / "child.py").write_text(SCRIPT)
    assert echo(pool, 1).value["value"] == 1
    pool.close()


def test_a_closed_pool_refuses(pool):
    pid = echo(pool, 1).value["pid"]
    pool.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(GraderError, match="closed"):
        echo(pool, 1)


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_children_do_not_outlive_their_parent(tmp_path, end):
    (tmp_path / "child.py").write_text(SCRIPT)
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom r1_pipeline.rewards.workers import WorkerPool\n"
        f"pool = WorkerPool(Path({str(tmp_path / 'child.py')!r}), size=1, flags=('-I', '-S'), recycle_after=9)\n"
        f"print(pool.ask({{'do': 'echo', 'value': 1}}, {PATIENCE_S}).value['pid'], flush=True)\n{end}\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    deadline = time.monotonic() + PATIENCE_S
    while _alive(int(ended.stdout)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(int(ended.stdout))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
