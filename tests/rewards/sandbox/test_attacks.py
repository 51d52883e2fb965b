"""Every attack on the machine is contained, as root and as a plain user, and has the right status."""

import pytest
from attacks import ATTACKS, HELPERS, MORE

from r1_pipeline.rewards.sandbox.runner import Program

_INPUT = "some input\n"


def _program(stage, source):
    return Program(source=f"{stage.names}\n{HELPERS}\n{source}", language="python")


@pytest.mark.parametrize("attack", ATTACKS + MORE, ids=lambda attack: f"{attack.number} {attack.does}")
def test_an_attack_is_contained(attack, held, stage):
    run = held.feed(_program(stage, attack.source), [_INPUT], attack.limit_s)
    stage.check(run)
    (test,) = run.tests
    assert test.status == attack.ends, test
    assert "GOT" not in test.output
    assert attack.detail in test.detail


def test_what_a_test_does_is_gone_for_the_next_one_and_for_the_next_program(held, stage):
    poison = _program(stage, next(attack.source for attack in ATTACKS if attack.number == "I4"))
    clean = Program(source="import json, sys\nprint(json.dumps(len(sys.path)))", language="python")
    before = held.feed(clean, ["", ""], 60.0)
    stage.check(held.feed(poison, ["", ""], 60.0))
    assert [test.output for test in held.feed(clean, ["", ""], 60.0).tests] == [test.output for test in before.tests]


def test_a_test_that_is_cut_off_does_not_touch_the_next_one(held, stage):
    source = """
import os, sys
what = input()
if what == "bomb":
    for _ in range(200):
        try: os.fork()
        except OSError: pass
    os.abort()
while what == "flood": print("x" * 1000)
print(what)
"""
    run = held.feed(Program(source=source, language="python"), ["a", "flood", "b", "bomb", "c"], 60.0)
    stage.check(run)
    statuses = ["finished", "too_large", "finished", "killed", "finished"]
    assert [test.status for test in run.tests] == statuses


def test_after_a_test_that_is_out_of_memory_no_other_is_run(held, stage):
    program = Program(source="hoard = [0] * int(input())", language="python")
    run = held.feed(program, ["1", *["1000000000"] * 10], 60.0)
    stage.check(run)
    assert [test.status for test in run.tests] == ["finished", *["out_of_memory"] * 10]
    assert {test.detail for test in run.tests[2:]} == {"not run after test 2"}


def test_after_a_test_that_is_out_of_time_no_other_is_run(held, stage):
    program = Program(source="import time\ntime.sleep(float(input()))", language="python")
    run = held.feed(program, ["0", *["100"] * 10], 3.0)
    stage.check(run)
    assert [test.status for test in run.tests] == ["finished", *["out_of_time"] * 10]
    assert {test.detail for test in run.tests[2:]} == {"not run after test 2"}
