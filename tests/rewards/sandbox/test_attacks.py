"""Every attack on the machine is contained, as root and as a plain user, and has the right status."""

import time

import pytest
from attacks import ATTACKS, HELPERS, MORE

from r1_pipeline.rewards.sandbox.runner import Program

_MARGIN_S = 2.0
_INPUT = "some input\n"


def _program(stage, source):
    return Program(source=f"{stage.names}\n{HELPERS}\n{source}", language="python")


@pytest.mark.parametrize("attack", ATTACKS + MORE, ids=lambda attack: f"{attack.number} {attack.does}")
def test_an_attack_is_contained(attack, held, stage):
    begin = time.monotonic()
    run = held.feed(_program(stage, attack.source), [_INPUT], attack.limit_s)
    assert time.monotonic() - begin < attack.limit_s + _MARGIN_S
    stage.check(run)
    (test,) = run.tests
    assert test.status == attack.ends, test
    assert "GOT" not in test.output
    assert attack.detail in test.detail


def test_what_a_test_does_is_gone_for_the_next_one_and_for_the_next_program(held, stage):
    poison = _program(stage, next(attack.source for attack in ATTACKS if attack.number == "I4"))
    clean = Program(source="import json, sys\nprint(json.dumps(len(sys.path)))", language="python")
    before = held.feed(clean, ["", ""], 5.0)
    stage.check(held.feed(poison, ["", ""], 5.0))
    assert [test.output for test in held.feed(clean, ["", ""], 5.0).tests] == [test.output for test in before.tests]


def test_tests_after_a_cut_one_are_run_as_long_as_the_sandbox_lives(held, stage):
    source = """
import os, time
what = input()
while what == "fork":
    try: os.fork()
    except OSError: pass
if what == "sleep": time.sleep(100)
print(what)
"""
    program = Program(source=source, language="python")
    run = held.feed(program, ["a", "sleep", "b", "fork", "c"], 0.5)
    stage.check(run)
    assert [test.status for test in run.tests] == ["finished", "out_of_time", "finished", "out_of_time", "finished"]
