"""The maths verifier on public data: reference answers, labelled completions, and the other parser generation."""

import gzip
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import golden_lock as lock
import polars as pl
import pytest

from r1_pipeline.records import Outcome
from r1_pipeline.rewards.latex import compact, normal
from r1_pipeline.rewards.maths import MathsVerifier
from r1_pipeline.rewards.verifier import reference_verdict

FORMS = ("{}", "${}$", "\\boxed{{{}}}")
ROOT = Path(__file__).parents[2]
OTHER_STACK = ["math-verify==0.9.0", "latex2sympy2_extended==1.11.0", "sympy==1.14.0", "antlr4-python3-runtime==4.9.3"]
EQUAL_NEIGHBOURS = {("5", "x=5")}
"""Neighbours of MATH-500 and OlympiadBench that are equal without being written alike."""


@pytest.fixture(scope="module")
def maths():
    verifier = MathsVerifier(workers=1)
    yield verifier
    verifier.close()


@pytest.fixture(scope="module")
def references(public_data):
    def column(file, name):
        return pl.read_parquet(public_data / file)[name].cast(pl.String).to_list()

    listed = pl.read_parquet(public_data / "competition" / "olympiadbench_test.parquet")["final_answer"]
    return {
        "MATH-500": column("math/math500_test.parquet", "answer"),
        "GSM8K": [text.split("####")[1].strip() for text in column("gsm8k/gsm8k_test.parquet", "answer")],
        "OlympiadBench": [", ".join(answers) for answers in listed.to_list()],
        "AIME": [
            answer
            for file in ("aime24_test", "aime25_qwq", "aime_1983_2023")
            for answer in column(f"competition/{file}.parquet", "answer")
        ],
    }


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["MATH-500", "GSM8K", "OlympiadBench", "AIME"])
def test_every_reference_is_right_in_every_dress(name, every, maths, problem, references):
    answers = references[name][::every]
    for form in FORMS:
        assert [a for a in answers if maths.judge(problem(a), form.format(a)).outcome is not Outcome.CORRECT] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MATH-500", "OlympiadBench"])
def test_the_next_reference_is_right_only_where_it_is_equal(name, maths, problem, references):
    for answer, following in pairwise(references[name]):
        outcome = maths.judge(problem(answer), f"\\boxed{{{following}}}").outcome
        alike = compact(normal(answer)) == compact(normal(following)) or (answer, following) in EQUAL_NEIGHBOURS
        assert outcome is (Outcome.CORRECT if alike else Outcome.WRONG), (answer, following)


def test_gsm8k_solutions_are_right_and_those_of_models_as_labelled(maths, problem, public_data, grader):
    """GSM8K's model solutions end in "A: 18" where its own end in "#### 18"."""
    for row in pl.read_parquet(public_data / "gsm8k" / "gsm8k_test.parquet")["answer"].to_list()[::10]:
        task = problem(row.split("####")[1].strip())
        assert reference_verdict(grader, task).outcome is Outcome.CORRECT
        assert maths.judge(task, row).outcome is Outcome.CORRECT
    solutions = pl.read_parquet(public_data / "gsm8k" / "example_model_solutions.parquet")
    agreed = total = 0
    for row in solutions.iter_rows(named=True):
        task = problem(row["ground_truth"].rpartition("\nA: ")[2])
        for label in (value for value in row.values() if isinstance(value, dict)):
            right = maths.judge(task, label["solution"].replace("\nA: ", "\n#### ")).outcome is Outcome.CORRECT
            agreed, total = agreed + (right == label["is_correct"]), total + 1
    assert total == 5276 and agreed >= 0.995 * total


def test_whole_solutions_are_read_as_references(maths, problem, public_data, references):
    """A solution that names no answer is ungradable; very few are misread."""
    folder = public_data / "competition" / "olympiadbench_test.parquet"
    unmarked = [" ".join(steps) for steps in pl.read_parquet(folder)["solution"].to_list()]
    solutions = {
        "MATH-500": pl.read_parquet(public_data / "math" / "math500_test.parquet")["solution"].to_list(),
        "GSM8K": pl.read_parquet(public_data / "gsm8k" / "gsm8k_test.parquet")["answer"].to_list(),
        "OlympiadBench": unmarked,
    }
    wrong = {}
    for name, texts in solutions.items():
        pairs = list(zip(texts, references[name], strict=True))[:: 1 if name == "MATH-500" else 5]
        outcomes = [maths.judge(problem(text), f"\\boxed{{{answer}}}").outcome for text, answer in pairs]
        wrong[name] = outcomes.count(Outcome.WRONG)
        assert len(outcomes) >= 100 and outcomes.count(Outcome.GRADER_ERROR) == 0
        if name != "OlympiadBench":  # its solutions have no boxes, and few a marker
            assert outcomes.count(Outcome.CORRECT) + wrong[name] == len(outcomes)
    assert wrong["GSM8K"] == 0 and wrong["MATH-500"] <= 1 and wrong["OlympiadBench"] <= 2


def test_solutions_that_end_in_a_sentence_are_judged_as_labelled_by_the_lenient_rule(problem, public_data):
    """The strict rule finds no answer in "A: 18"; the lenient one finds it, and calls nothing right that is wrong."""
    lenient, strict = MathsVerifier(workers=1, rule="lenient"), MathsVerifier(workers=1)
    rows = pl.read_parquet(public_data / "gsm8k" / "example_model_solutions.parquet").iter_rows(named=True)
    judged = []
    for row in list(rows)[::4]:
        task = problem(row["ground_truth"].rpartition("\nA: ")[2])
        for model in (value for value in row.values() if isinstance(value, dict)):
            assert strict.judge(task, model["solution"]).outcome is not Outcome.CORRECT
            judged.append((lenient.judge(task, model["solution"]).outcome is Outcome.CORRECT) == model["is_correct"])
    assert len(judged) == 1320 and all(judged)
    lenient.close(), strict.close()


def labelled(public_data):
    """Returns question, reference, completion and label of the graded completions."""
    folder = public_data / "graded_completions"
    names = ["qwen2.5_14b_instruct_math500", "qwen2.5_math_7b_math500", "qwen2.5_14b_instruct_minerva"]
    for name in [*names, "math_cot_100x8_rm"]:
        for row in pl.read_parquet(folder / f"{name}.parquet").iter_rows(named=True):
            for text, label in zip(row["code"], row["score"], strict=True):
                yield row["question"], row.get("answer") or row["gt"], text, bool(label)
    rows = json.loads(gzip.decompress((folder / "qwen2.5_32b_instruct_thinkprompt_math500.json.gz").read_bytes()))
    for question, row in rows.items():
        for reply in row["responses"].values():
            yield question, row["answer"], reply["content"], bool(reply["correctness"])


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["strict", "lenient"])
def test_graded_completions_are_judged_as_labelled(rule, problem, public_data):
    verifier, agreed = MathsVerifier(workers=1, rule=rule), []
    for question, reference, text, label in labelled(public_data):
        task = problem(reference).model_copy(update={"question": question})
        agreed.append((verifier.judge(task, text).outcome is Outcome.CORRECT) == label)
    verifier.close()
    assert len(agreed) == 2572 and sum(agreed) >= 0.98 * len(agreed)


JUDGE = """
import json, sys
from r1_pipeline.records import Problem
from r1_pipeline.rewards.maths import MathsVerifier
maths = MathsVerifier(workers=1)
for question, reference, answer in json.load(sys.stdin):
    task = Problem(id="0" * 16, question=question, answer=reference, tests=(), domain="math", language="en",
                    source="hand#1", licence="Apache-2.0")
    print(maths.judge(task, answer).outcome.value)
print(maths.version)
maths.close()
"""


@pytest.mark.slow
def test_antlr_4_9_3_gives_the_same_verdicts(references, tmp_path):
    """The same code judged `50\\%` differently under antlr 4.9 and 4.13."""
    python = tmp_path / "venv" / "bin" / "python"
    commands = [[sys.executable, "-m", "venv", str(tmp_path / "venv")], [str(python), "-m", "pip", "install", "-q"]]
    commands[1] += [*OTHER_STACK, "pydantic"]
    for command in commands:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no second environment: {made.stderr[-200:]}")
    rows = [(case.get("question", "?"), case["reference"], case["answer"]) for case in lock.cases()]
    expected = [case["outcome"] for case in lock.cases()]
    for answers in references.values():
        rows += [("?", answer, form.format(answer)) for answer in answers for form in FORMS]
    expected += ["correct"] * (len(rows) - len(expected))
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    judged = subprocess.run(
        [str(python), "-c", JUDGE], input=json.dumps(rows), capture_output=True, text=True, env=environment, check=False
    )
    assert judged.returncode == 0, judged.stderr
    *outcomes, version = judged.stdout.split()
    assert version.endswith("antlr4-python3-runtime-4.9.3")
    assert [(row, got) for row, got, right in zip(rows, outcomes, expected, strict=True) if got != right] == []
