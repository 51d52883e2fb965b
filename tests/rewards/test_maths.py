"""The golden table and its version, the agreement of fast path and child, and the limits of hostile answers."""

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import golden_lock as lock
import pytest

from r1_pipeline.records import Outcome
from r1_pipeline.rewards.answer_extraction import final_answer
from r1_pipeline.rewards.latex import normal
from r1_pipeline.rewards.maths import RULES, MathsVerifier, decide, fast_equal, monstrous

GOLDEN = lock.cases()
HANG = ("x^2=4", "x^{999}+x^{7}+1=0")
"""A reference and an answer that sympy tries to solve for minutes."""


@pytest.fixture(scope="module")
def maths():
    verifier = MathsVerifier(workers=1)
    yield verifier
    verifier.close()


def problem_of(problem, case):
    return problem(case["reference"]).model_copy(update={"question": case.get("question", "?")})


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["reason"])
def test_golden_table(case, maths, problem):
    judged = maths.judge(problem_of(problem, case), case["answer"])
    assert judged.outcome.value == case["outcome"], judged.detail


def test_the_golden_table_is_large_and_every_case_has_its_own_question_and_reason():
    keys = {json.dumps([case["reference"], case["answer"], case.get("question")]) for case in GOLDEN}
    assert len(keys) == len(GOLDEN) >= 300
    assert all(case["reason"] for case in GOLDEN)


@pytest.mark.parametrize("name", lock.VERSIONS)
def test_a_changed_verdict_needs_a_new_version(name):
    locked, now = json.loads(lock.lock(name).read_text()), lock.verdicts(lock.cases(name))
    assert (locked["rules"], locked["verdicts"]) == (lock.VERSIONS[name], now), "run golden_lock.py; see there"
    some = next(iter(now))
    assert lock.changed(locked["verdicts"], now) == []
    assert lock.changed(locked["verdicts"], {**now, some: "none"}) == [some]


def test_the_fast_path_never_disagrees_with_the_child(maths, problem):
    settled = 0
    for case in GOLDEN:
        answer = final_answer(case["answer"], normal).answer
        if not case["reference"] or answer is None or case["outcome"] == "ungradable":
            continue
        pairs = decide(normal(case["reference"]), normal(answer), case.get("question", "?"))
        for reference, given in pairs if isinstance(pairs, list) else []:
            fast = fast_equal(reference, given)
            if fast is not None and not monstrous(given):
                settled += 1
                assert maths.ask(reference, given) == ("equal" if fast else "differs"), case
    assert settled >= 100


def test_the_fast_path_is_symmetric():
    forms = [normal(case["answer"]) for case in GOLDEN]
    for left in forms[::9]:
        for right in forms:
            assert fast_equal(left, right) == fast_equal(right, left)


MUTATIONS = [
    ("42", ["-42", "43", "4.2", "420", "24", "42.1", "42^2", "42!", "\\frac{1}{42}", "42 \\cdot 10"]),
    ("\\frac{3}{7}", ["\\frac{7}{3}", "-\\frac{3}{7}", "\\frac{3}{8}", "3.7", "0.43", "\\frac{37}{1}", "37"]),
    ("2\\sqrt{3}", ["3\\sqrt{2}", "\\sqrt{3}", "2+\\sqrt{3}", "-2\\sqrt{3}", "2\\sqrt[3]{3}", "3.46", "\\sqrt{6}"]),
    ("(3,-1)", ["(-1,3)", "(3,1)", "(-3,1)", "3", "[3,-1)", "\\{3,-1\\}", "(3,-1,0)"]),
    ("[0,5)", ["(0,5)", "[0,5]", "(0,5]", "[5,0)", "[0,6)", "0,5"]),
    ("x^2-4x+1", ["x^2+4x+1", "x^2-4x-1", "x^2-4x", "x^3-4x+1", "y^2-4y+1", "2x^2-8x+2"]),
    ("y=3x-2", ["y=3x+2", "y=2x-3", "x=3y-2", "y=-3x-2"]),
    ("\\{1,4\\}", ["\\{1\\}", "\\{1,4,5\\}", "\\{-1,-4\\}", "14"]),
    ("\\text{Tuesday}", ["Thursday", "not Tuesday", "Tuesday or Friday"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "mutations"), MUTATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_mutated_right_answer_is_wrong(reference, mutations, maths, problem):
    assert sum(len(each) for _, each in MUTATIONS) >= 50
    assert maths.judge(problem(reference), f"\\boxed{{{reference}}}").outcome is Outcome.CORRECT
    for mutation in mutations:
        assert maths.judge(problem(reference), f"\\boxed{{{mutation}}}").outcome is Outcome.WRONG, mutation


def test_sets_of_a_thousand_numbers_are_compared_without_a_parser(problem):
    verifier = MathsVerifier(workers=1)
    verifier.close()
    listed = problem("\\{" + ", ".join(map(str, range(1000))) + "\\}")
    backwards = "\\boxed{\\{" + ", ".join(map(str, reversed(range(1000)))) + "\\}}"
    assert verifier.judge(listed, backwards).outcome is Outcome.CORRECT
    assert verifier.judge(listed, backwards.replace("998", "1998")).outcome is Outcome.WRONG


@pytest.mark.parametrize("piece", ["\\$", " ", "1:", "[1,", "x<1, ", "$", "\\text{ "])
def test_an_answer_that_repeats_itself_to_the_limit_is_wrong_and_raises_nothing(piece, maths, problem):
    answer = piece * (15_000 // len(piece))
    judged = maths.judge(problem("5"), f"\\boxed{{[{answer}x}}")
    assert judged.outcome in (Outcome.WRONG, Outcome.MALFORMED)


def test_an_answer_in_the_reasoning_only_is_no_answer(grader, problem, completion):
    for text in ("<think>\\boxed{5}</think>", "<think>\\boxed{5}</think> I am done.\nThank you."):
        assert grader.grade(problem("5"), completion(text), "chat").outcome is Outcome.MALFORMED
    other = completion("<think>\\boxed{5}</think> The answer is 6")
    assert grader.grade(problem("5"), other, "chat").outcome is Outcome.WRONG


def test_numbers_and_words_never_start_a_child(problem):
    verifier = MathsVerifier(workers=1)
    verifier.close()  # a closed pool raises at the next request
    assert verifier.judge(problem("42"), "\\boxed{42}").outcome is Outcome.CORRECT
    assert verifier.judge(problem("42"), "\\boxed{41}").outcome is Outcome.WRONG
    assert verifier.judge(problem("even"), "\\boxed{42}").outcome is Outcome.WRONG


def test_version_names_the_parser_stack(maths):
    assert maths.version.startswith(f"{RULES}+")
    for package in ("math-verify", "latex2sympy2_extended", "sympy", "antlr4"):
        assert f"+{package}" in maths.version


HOSTILE = [
    "9^{9^{9^9}}", "5^(5^(5^(5^5)))", "3^{10^9}", "(10^7)!", "(9999!)^{9999}", "((9^9)^9)^9", "2^{2^{35}}",
    "(" * 5000 + "5" + ")" * 5000, "\\frac{1}{" * 500 + "5" + "}" * 500, "1+" * 100_000 + "1", "1+" * 400 + "1",
    "\\binom{1000000000}{500000000}", "\\sum_{k=1}^{1000000000} k", "(0, 3^{100000000})", "\\{3^{100000000}\\}",
    "x" * 10_000_000, "9" * 10_000_000, "\\boxed{" * 1_000_000, "{" * 10_000_000, "$" * 1_000_000, "$ " * 500_000,
    "a_" * 9_000, "'" * 19_000 + "=5", "(" * 19_000, "\\text{" * 3_000, "\\frac" * 3_000, "5 \\text{a}" * 2_000,
    "1," * 9_000, "+ " * 9_000 + "=1", "1 2 " * 4_000, "\\left(" * 3_000, "和" * 19_000, "0." + "\\overline{" * 1_500,
    "٥٥", "５" * 900, "__import__('os').system('sleep 9')", "\\input{/dev/zero}", "\\sqrt{" * 9 + "5" + "}" * 9,
    "\\sqrt" * 180 + "5", "sqrt(" * 3_000, "^(" * 9_000, "sin" * 6_000, "binomial(1," * 1_500, "xlnx " * 3_000,
    "k, " * 300 + "k \\in Z", "for all " * 2_000, "2\\pi " + "cm " * 6_000, "\\sum_{k=1}^{n} " * 30 + "k",
    "\\sum_{k=1}^{\\infty} \\frac{1}{k}", "2^{2^{2^{x}}}", "\\sum_{k=1}^{n} 2^{2^{2^{k}}}",
]  # fmt: skip


def test_hostile_answers_cost_seconds_at_most_and_the_next_verdict_nothing(problem):
    verifier = MathsVerifier(workers=1)
    for text in HOSTILE:
        begin = time.process_time()
        for answer in (text, f"\\boxed{{{text}}}"):
            assert verifier.judge(problem("5"), answer).outcome is not Outcome.CORRECT, text[:60]
        assert time.process_time() - begin < 6.0, text[:60]  # of this process; its child has a limit of its own
    assert verifier.judge(problem("\\sqrt{12}"), "2\\sqrt{3}").outcome is Outcome.CORRECT
    verifier.close()


def test_an_answer_that_hangs_is_the_graders_failure_and_costs_the_next_one_nothing(maths, problem):
    reference, hang = HANG
    judged = maths.judge(problem(reference), hang)
    assert judged.outcome is Outcome.GRADER_ERROR and judged.score is None
    assert maths.judge(problem("\\sqrt{12}"), "2\\sqrt{3}").outcome is Outcome.CORRECT


def test_usable_from_many_threads_and_from_asyncio(maths, problem):
    roots = [problem(f"\\sqrt{{{n}}}") for n in range(2, 20)]

    def judged(each):
        return maths.judge(each, f"{each.answer} + 0").outcome

    async def gathered():
        return await asyncio.gather(*(asyncio.to_thread(judged, each) for each in roots))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(judged, roots)) == {Outcome.CORRECT}
    assert set(asyncio.run(gathered())) == {Outcome.CORRECT}


FORKING = r"""
import faulthandler
from multiprocessing import get_context
from r1_pipeline.records import Problem
from r1_pipeline.rewards.maths import MathsVerifier

faulthandler.dump_traceback_later(570, exit=True)
maths = MathsVerifier(workers=1)

def judge(n):
    root = r"\sqrt{%d}" % n
    task = Problem(id="0" * 16, question="?", answer=root, tests=(), domain="math", language="en", source="hand#1",
                    licence="Apache-2.0")
    return maths.judge(task, r"\boxed{\frac{%d}{%s}}" % (n, root)).outcome.value

judge(2)
with get_context("fork").Pool(2) as pool:
    forked = pool.map_async(judge, range(2, 12))
    mine = [judge(n) for n in range(12, 22)]
    print(set(forked.get(500)) | set(mine), judge(3))
    pool.close()  # a pool that is terminated can wait for a lock of a worker that it has killed
    pool.join()
"""


def test_a_forked_process_has_children_of_its_own():
    """Data loaders and TRL's helpers fork; parent and fork must not read each other's verdicts."""
    ended = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=600, check=False)
    assert ended.stdout.strip() == "{'correct'} correct", ended.stderr


def test_works_inside_a_dagster_process(maths, problem, tmp_path):
    import dagster

    @dagster.asset
    def judged() -> str:
        return maths.judge(problem("\\frac{1}{\\sqrt{2}}"), "\\frac{\\sqrt{2}}{2}").outcome.value

    with dagster.DagsterInstance.local_temp(str(tmp_path)) as instance:
        made = dagster.materialize([judged], instance=instance)
    assert made.output_for_node("judged") == "correct"
