"""Measures maths grading: throughput, agreement with three other graders, and the cost of hostile answers.

There are 16 completions for each of 500 MATH problems: real reasoning (Qwen2.5-14B-Instruct) whose last box holds the
reference in one of four notations (8 of 16) or another problem's reference (8 of 16). Everything uses one core. Peers
are TRL's `accuracy_reward`, bare math-verify (`parse` and `verify` with their defaults), and verl's two rules, loaded
from its wheel. It prints JSON in about ten minutes: completions per second, agreement with the construction and with
our verdicts, disagreements with TRL, and the same mixture with 5% hostile answers.

    python benchmarks/grading.py DATA    DATA: a folder with math/ and graded_completions/ as in tests/rewards
"""

import importlib.util
import json
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from r1_pipeline.records import Outcome, Problem
from r1_pipeline.rewards.latex import compact, normal
from r1_pipeline.rewards.maths import MathsVerifier

VERL = "verl==0.9.1"
Row = tuple[Problem, str, bool]
HOSTILE = (
    "9^{9^{9^9}}", "5^(5^(5^(5^5)))", "3^{10^9}", "(10^7)!", "(9999!)^{9999}", "2^{2^{35}}", "\\{3^{100000000}\\}",
    "(" * 5000 + "5" + ")" * 5000, "\\frac{1}{" * 500 + "5" + "}" * 500, "1+" * 100_000 + "1", "1+" * 400 + "1",
    "\\binom{1000000000}{500000000}", "\\sum_{k=1}^{1000000000} k", "(0, 3^{100000000})", "9" * 1_000_000,
    "\\boxed{" * 100_000, "{" * 100_000, "(1+" * 9 + "5" + ")" * 9, "\\frac{1}{1+" * 9 + "5" + "}" * 9, "x^{9999}+1",
)  # fmt: skip


def mixture(data: Path) -> list[Row]:
    """Returns the completions, labelled by construction, in random order."""
    table = pl.read_parquet(data / "graded_completions" / "qwen2.5_14b_instruct_math500.parquet")
    rows = list(table.iter_rows(named=True))
    chance, made = random.Random(0), []
    for row in rows:
        reference = row["answer"]
        posed = Problem(
            id="0" * 16, question=row["question"], answer=reference, tests=(), domain="math", language="en",
            source="MATH-500", licence="MIT",
        )  # fmt: skip
        others = [other["answer"] for other in chance.sample(rows, 30)]
        wrong = [other for other in others if compact(normal(other)) != compact(normal(reference))][:8]
        for answer in (*dressed(reference), *wrong):
            made.append((posed, boxed(row["code"][0], answer), answer not in wrong))
    chance.shuffle(made)
    return made


def dressed(reference: str) -> list[str]:
    """Writes the reference in four notations that models use, each twice."""
    spaced = re.sub(r"(?<=[-+=,])(?=\S)", " ", reference)
    return 2 * [reference, reference.replace("\\frac", "\\dfrac"), f" {spaced} ", f"{reference}."]


def boxed(text: str, answer: str) -> str:
    """Returns a completion's reasoning up to the line of its first box, followed by the answer in a box."""
    reasoning = text.partition("\\boxed")[0].rpartition("\n")[0].rstrip().removesuffix("\\[")
    return f"{reasoning}\n\nTherefore the answer is $\\boxed{{{answer}}}$."


def timed(judge: Callable[[Problem, str], Any], rows: list[Row]) -> tuple[list[Any], list[float]]:
    """Returns the verdicts and the seconds of each."""
    found, seconds = [], []
    for problem, text, _ in rows:
        begin = time.perf_counter()
        found.append(judge(problem, text))
        seconds.append(time.perf_counter() - begin)
    return found, seconds


def peers() -> Iterator[tuple[str, Callable[[Problem, str], float]]]:
    """Yields names and scoring functions, each called as its authors do."""
    from math_verify import parse, verify
    from trl.rewards import accuracy_reward

    logging.disable(logging.ERROR)
    yield "trl", lambda problem, text: accuracy_reward([[{"content": text}]], [f"${problem.answer}$"])[0] or 0.0
    yield "math-verify", lambda problem, text: float(verify(parse(f"${problem.answer}$"), parse(text)))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, VERL], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(folder)
        rules = Path(folder) / "verl" / "utils" / "reward_score"
        boxed_rule, dapo = (load(rules / f"{name}.py") for name in ("math_reward", "math_dapo"))
        yield "verl math_reward", lambda problem, text: boxed_rule.compute_score(text, problem.answer)
        yield (
            "verl math_dapo",
            lambda problem, text: float(dapo.compute_score(text, problem.answer, strict_box_verify=True)["acc"]),
        )


def load(path: Path) -> ModuleType:
    """Loads a module from a file, without its package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hostile(maths: MathsVerifier, rows: list[Row], plain: list[Outcome]) -> dict[str, Any]:
    """Grades the first 2000 completions again, with a hostile one after every twentieth."""
    mixed, at = [], []
    for index, (problem, text, right) in enumerate(rows):
        at.append(len(mixed))
        mixed.append((problem, text, right))
        if index % 19 == 0:
            attack = HOSTILE[index // 19 % len(HOSTILE)]
            mixed.append((problem, f"Clearly $\\boxed{{{attack}}}$.", False))
    begin = time.perf_counter()
    found, seconds = timed(lambda problem, text: maths.judge(problem, text).outcome, mixed)
    wall = time.perf_counter() - begin
    good = set(at)
    attacks = [index for index in range(len(mixed)) if index not in good]
    return {
        "hostile_share": round(len(attacks) / len(mixed), 3),
        "good_verdicts_unchanged": [found[index] for index in at] == plain,
        "hostile_judged_correct": sum(found[index] is Outcome.CORRECT for index in attacks),
        "hostile_grader_errors": sum(found[index] is Outcome.GRADER_ERROR for index in attacks),
        "p99_seconds": round(sorted(seconds)[int(0.99 * len(seconds))], 3),
        "slowest_seconds": round(max(seconds), 3),
        "honest_per_second": round(len(rows) / wall, 1),
    }


def main() -> None:
    """Measures and prints."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = mixture(Path(sys.argv[1]))
    truth = [right for _, _, right in rows]
    maths = MathsVerifier(workers=1)
    outcomes, seconds = timed(lambda problem, text: maths.judge(problem, text).outcome, rows)
    ours = [outcome is Outcome.CORRECT for outcome in outcomes]
    table = {"ours": row_of(ours, seconds, truth, ours)}
    unlike_trl = []
    for name, judge in peers():
        scores, seconds = timed(judge, rows)
        theirs = [score == 1.0 for score in scores]
        table[name] = row_of(theirs, seconds, truth, ours)
        if name == "trl":
            unlike_trl = [index for index, score in enumerate(theirs) if score != ours[index]]
    maths.close()
    maths = MathsVerifier(workers=1)
    few = rows[:2000]
    begin = time.perf_counter()
    plain, _ = timed(lambda problem, text: maths.judge(problem, text).outcome, few)
    honest = len(few) / (time.perf_counter() - begin)
    maths.close()
    maths = MathsVerifier(workers=1)
    report = {
        "completions": len(rows),
        "graders": table,
        "speed_over_trl": round(table["ours"]["per_second"] / table["trl"]["per_second"], 1),
        "unlike_trl": {
            "ours_right": sum(ours[index] == truth[index] for index in unlike_trl),
            "trl_right": [(rows[i][0].answer, rows[i][1][-60:]) for i in unlike_trl if ours[i] != truth[i]],
        },
        "without_hostile_per_second": round(honest, 1),
        "with_hostile": hostile(maths, few, plain),
    }
    maths.close()
    json.dump(report, sys.stdout, indent=1)
    sys.stdout.write("\n")


def row_of(verdicts: list[bool], seconds: list[float], truth: list[bool], ours: list[bool]) -> dict[str, float]:
    """Returns a row of the table: speed, and shares of completions."""
    pairs = list(zip(verdicts, truth, strict=True))
    return {
        "per_second": round(len(verdicts) / sum(seconds), 1),
        "as_made": round(sum(a == b for a, b in pairs) / len(pairs), 4),
        "right_called_wrong": sum(b and not a for a, b in pairs),
        "wrong_called_right": sum(a and not b for a, b in pairs),
        "as_ours": round(sum(a == b for a, b in zip(verdicts, ours, strict=True)) / len(ours), 4),
    }


if __name__ == "__main__":
    main()
