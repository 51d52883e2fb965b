"""Measures the cost of isolation: sandboxed programs compared with plain, unprotected Python, on two cores.

It prints JSON: the time to run one short program; the throughput of programs with 20 tests each; and the effect of 5%
hostile programs on the verdicts, the latency and the throughput of honest ones.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from r1_pipeline.records import Outcome, Problem, TestCase
from r1_pipeline.rewards.code import CodeVerifier
from r1_pipeline.rewards.sandbox import jail
from r1_pipeline.rewards.sandbox.bubblewrap import BubblewrapRunner
from r1_pipeline.rewards.sandbox.self_test import self_test

CORES, PROGRAMS, TESTS, STARTS = 2, 240, 20, 40
LIMIT_S = 1.0
HOSTILE = (
    "while True: pass",
    "import time\ndef f(n): time.sleep(100)",
    "def f(n):\n    hoard = []\n    while True: hoard.append(bytearray(1 << 24))",
    "import os\ndef f(n):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "import os\ndef f(n):\n    while True: os.write(3, b'x' * 65536)",
    "import os\nos.kill(os.getppid(), 9)",
)
PLAIN = "\nimport sys, json\nfor line in sys.stdin: print(json.dumps(f(*json.loads(line))))"


def honest(number: int) -> str:
    """Returns a small program that differs from all others."""
    return f"def f(n):\n    total = {number}\n    for k in range(n): total += k * k\n    return total"


def problem(number: int, tests: int) -> Problem:
    """Returns the problem that `honest(number)` solves."""
    cases = tuple(
        TestCase(
            kind="call", function="f", given=f"[{n}]", expected=str(number + sum(k * k for k in range(n))),
            limit_s=LIMIT_S,
        )
        for n in range(tests)
    )  # fmt: skip
    return Problem(
        id=str(number), question="?", answer=None, tests=cases, domain="code", language="en", source="-", licence="-"
    )


def plain(source: str, posed: Problem) -> bool:
    """Runs and grades without any protection, for comparison."""
    given = "".join(test.given + "\n" for test in posed.tests)
    command = [jail.interpreter().path, "-S", "-c", source + PLAIN]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    return done.stdout.split() == [test.expected for test in posed.tests]


def timed(
    judge: Callable[[str, Problem], bool], rows: Sequence[tuple[str, Problem]], at_once: int
) -> dict[str, object]:
    """Returns the verdicts, the seconds of each, and the total seconds."""

    def one(row: tuple[str, Problem]) -> tuple[bool, float]:
        begin = time.monotonic()
        return judge(*row), time.monotonic() - begin

    begin = time.monotonic()
    with ThreadPoolExecutor(at_once) as threads:
        done = list(threads.map(one, rows))
    return {"verdicts": [v for v, _ in done], "each": sorted(s for _, s in done), "all": time.monotonic() - begin}


def main() -> None:
    """Measures and prints."""
    verifier = CodeVerifier(BubblewrapRunner(workers=CORES))

    def sandboxed(source: str, posed: Problem) -> bool:
        return verifier.judge(posed, f"```python\n{source}\n```").outcome is Outcome.CORRECT

    numbers = iter(range(10**9))

    def batch(count: int, tests: int) -> list[tuple[str, Problem]]:
        return [(honest(n), problem(n, tests)) for n in (next(numbers) for _ in range(count))]

    timed(sandboxed, batch(4, 1), CORES)  # supervisors start
    starts = {name: timed(judge, batch(STARTS, 1), 1) for name, judge in (("plain", plain), ("sandboxed", sandboxed))}
    bare, calm = timed(plain, batch(PROGRAMS, TESTS), CORES), timed(sandboxed, batch(PROGRAMS, TESTS), CORES)
    rows = batch(PROGRAMS, TESTS)
    for place in range(0, PROGRAMS, 20):
        rows[place] = (HOSTILE[place // 20 % len(HOSTILE)] + f"  # {place}", rows[place][1])
    stormy = timed(sandboxed, rows, CORES)
    verifier.close()
    assert all(bare["verdicts"]) and all(calm["verdicts"])
    good = [verdict for place, verdict in enumerate(stormy["verdicts"]) if place % 20]
    rates = {name: PROGRAMS / run["all"] for name, run in (("plain", bare), ("sandboxed", calm))}
    rates["honest with hostile"] = len(good) / stormy["all"]
    found = {
        "sandbox": self_test().bubblewrap,
        "self_test_seconds": self_test().seconds,
        "start_ms": {
            name: {"median": 1000 * statistics.median(run["each"]), "p95": 1000 * run["each"][int(0.95 * STARTS)]}
            for name, run in starts.items()
        },
        "start_ratio": statistics.median(starts["sandboxed"]["each"]) / statistics.median(starts["plain"]["each"]),
        "programs_per_second": rates,
        "tests_per_second": TESTS * rates["sandboxed"],
        "throughput_ratio": rates["sandboxed"] / rates["plain"],
        "hostile": {
            "share": 0.05,
            "limit_s": LIMIT_S,
            "good_verdicts_unchanged": all(good),
            "hostile_accepted": sum(stormy["verdicts"][::20]),
            "p99_latency_s": stormy["each"][int(0.99 * PROGRAMS)],
            "honest_throughput_ratio": rates["honest with hostile"] / rates["sandboxed"],
        },
    }
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
