"""Laws of the program runner: order, times, threads, and a lost sandbox is not the program's fault."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from r1_pipeline.rewards.sandbox.bubblewrap import BubblewrapRunner
from r1_pipeline.rewards.sandbox.runner import Program
from r1_pipeline.rewards.sandbox.sandboxes import Sandboxes
from r1_pipeline.rewards.sandbox.self_test import self_test

PATIENT_S = 60.0
"""The time limit, in seconds, of a program that ends by itself, even on a busy machine."""


def until(done):
    """Waits for a condition that every machine meets sooner or later."""
    deadline = time.monotonic() + 300
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def program(source):
    return Program(source=source, language="python")


def test_outputs_come_in_order_with_times_measured_outside(held):
    source = "import time\nt = float(input())\ntime.sleep(t)\nprint(t)"
    run = held.feed(program(source), ["0.3\n", "0\n", "0.1\n"], PATIENT_S)
    assert [test.output for test in run.tests] == ["0.3\n", "0.0\n", "0.1\n"]
    assert run.tests[0].seconds >= 0.3 and run.tests[2].seconds >= 0.1


def test_a_program_of_standard_input_is_run_as_python_would(held):
    cases = {
        "if __name__ == '__main__': print(input())": "x\n",
        "import sys\nfor line in sys.stdin: print(line.strip())": "x\n",
        "print(open(0).read())": "x\n\n",
        "print(open('/dev/stdin').read())": "x\n\n",
        "import threading\nthreading.Thread(target=lambda: print(input())).start()": "x\n",
        "import atexit\natexit.register(print, 'x')": "x\n",
        "import sys\nprint('x')\nsys.exit()": "x\n",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: str\nprint(A(input()).x)": "x\n",
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
        "def main(n): return n and main(n - 1)\nt = threading.Thread(target=main, args=(50000,))\nt.start()\nt.join()\n"
        "print('x')": "x\n",
    }
    for source, output in cases.items():
        (test,) = held.feed(program(source), ["x\n"], PATIENT_S).tests
        assert (test.status, test.output) == ("finished", output), (source, test)


def test_large_inputs_and_outputs_pass_whole_and_larger_ones_are_cut(held):
    source = "import sys\ntext = sys.stdin.read()\nsys.stdout.write(text)"
    run = held.feed(program(source), ["é" * 500_000, "x" * (1 << 20), "x" * ((1 << 20) + 1)], PATIENT_S)
    assert [test.status for test in run.tests] == ["finished", "finished", "too_large"]
    assert run.tests[0].output == "é" * 500_000


def test_a_program_that_is_no_python_is_not_compiled(held):
    for source in ("def f(:", "\0", "(" * 10_000, "\ud800"):
        assert held.feed(program(source), [""], PATIENT_S).status == "not_compiled"


def test_no_tests_is_a_run_without_results(held):
    run = held.feed(program("print(1)"), [], 2.0)
    assert (run.status, run.tests) == ("ran", ())


def test_a_method_of_solution_can_be_called(held):
    source = "class Solution:\n    def twice(self, x): return 2 * x"
    assert held.call(program(source), "twice", ["[21]"], PATIENT_S).tests[0].output == "42"


def test_the_same_program_gives_the_same_output(held):
    source = "print({'a', 'b', 'c', 'd'})"
    runs = [held.feed(program(source), ["", ""], PATIENT_S) for _ in range(3)]
    assert len({test.output for run in runs for test in run.tests}) == 1


def test_many_threads_share_the_sandboxes(held):
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(lambda n: held.feed(program(f"print({n})"), [""], PATIENT_S), range(24)))
    assert [run.tests[0].output for run in runs] == [f"{n}\n" for n in range(24)]


def children(pid):
    """Returns the children of all threads of a process; none if the process is gone."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def descendants(pid):
    return [each for child in children(pid) for each in (child, *descendants(child))]


def supervisors():
    return [pid for pid in children(os.getpid()) if "supervisor.py" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_sandbox_killed_from_outside_is_tried_again(safe):
    others, sandboxes = set(supervisors()), Sandboxes(workers=1)

    def kill(times):
        """Kills this number of sandboxes, each as soon as its program runs."""
        (supervisor,) = set(supervisors()) - others
        killed = set()
        while len(killed) < times and not ended.is_set():
            for pid in children(supervisor):
                if pid not in killed and len(descendants(pid)) == 3:  # bubblewrap inside, the driver, the test
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.01)

    for times, status in ((1, "ran"), (2, "ran"), (3, "runner_failed")):
        sandboxes.feed(program(""), [""], PATIENT_S)
        ended = threading.Event()
        killer = threading.Thread(target=kill, args=(times,))
        killer.start()
        run = sandboxes.feed(program("import time\ntime.sleep(2)\nprint(1)"), [""], PATIENT_S)
        ended.set()
        killer.join()
        assert run.status == status, run
    sandboxes.close()


def test_the_sandbox_dies_with_the_process_that_asked_for_it(safe):
    script = (
        "import sys\nfrom r1_pipeline.rewards.sandbox.sandboxes import Sandboxes\n"
        "from r1_pipeline.rewards.sandbox.runner import Program\n"
        "Sandboxes(1).feed(Program(source='import time; time.sleep(345)', language='python'), [''], 400.0)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])

    until(lambda: len(descendants(parent.pid)) == 5)  # the supervisor, bubblewrap twice, the driver, the test
    started = descendants(parent.pid)
    parent.kill()
    parent.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))


def test_a_run_is_cached_unless_its_output_is_long(safe):
    first, second = BubblewrapRunner(workers=1), BubblewrapRunner(workers=1)
    clock = program("import time\nprint(time.time_ns())")
    same = [runner.feed(clock, [""], PATIENT_S) for runner in (first, second)]
    assert same[0] == same[1] != first.feed(clock, [" "], PATIENT_S)
    long = program("import time\nprint(str(time.time_ns()) * 1000)")
    assert first.feed(long, [""], PATIENT_S) != first.feed(long, [""], PATIENT_S)
    first.close()
    second.close()


def test_the_self_test_holds_on_this_machine(safe):
    test = self_test()
    assert test.problem is None and test.bubblewrap.startswith("bubblewrap ")
    assert len(test.attacks) == 10 and all(attack.contained for attack in test.attacks)


def test_the_identity_names_what_can_change_a_result(safe):
    identity = BubblewrapRunner(workers=1).identity
    assert "python-3." in identity and "g++-" in identity and "512M" in identity
