"""Measures the rollout log at size: writing, `r1 audit` of a sample, and the page of `r1 rollouts`.

    python benchmarks/rollouts.py FOLDER                   1,000,000 rollouts with 2 kB of text and 500 tokens each
    python benchmarks/rollouts.py FOLDER --rows 20000

The peer is polars alone: the same columns written as one Parquet file a batch, with no hash, no groups and no shards.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.evaluation.rejudge import REJUDGED_ROWS
from r1_pipeline.evaluation.rollout_health import health
from r1_pipeline.lineage.rollouts import check_rollouts
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Completion, Outcome, Problem, Verdict
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.training.objectives import Objective
from r1_pipeline.training.rollout_log import RolloutLog, rollout_schema

BATCH, GROUP = 2048, 16
"""Rollouts of a step and of a group."""
TEXT, TOKENS = 2000, 500
"""Characters and tokens of a rollout."""
RUBRIC = Rubric(accuracy=1.0, format=0.1, language=0.0, preference=0.0)


class Updates(Recipe):
    """The part of a recipe that says how advantages are scaled."""

    objective: Objective = Objective()


class Reinforced(Recipe):
    """The part of a recipe that an audit of rollouts reads."""

    rubric: Rubric = RUBRIC
    grpo: Updates = Updates()


def problems(count: int) -> list[Problem]:
    """Returns sums of a number with itself."""
    made = []
    for number in range(count):
        question, answer = f"What is {number} + {number}?", str(2 * number)
        made.append(
            Problem(
                id=problem_id(question, answer, (), "math"), question=question, answer=answer, tests=(), domain="math",
                language="en", source=f"sums#{number}", licence="CC0-1.0",
            )
        )  # fmt: skip
    return made


def replies(asked: list[Problem], chance: random.Random, words: list[str]) -> list[Completion]:
    """Returns one long reply to each problem; half of them are right."""
    made = []
    for index, problem in enumerate(asked):
        answer = problem.answer if index % 2 else "-1"
        text = (
            f"<think>{' '.join(chance.choices(words, k=TEXT // 6))}"[: TEXT - 60]
            + f"</think>\n\nIt is \\boxed{{{answer}}}."
        )
        ids = tuple(chance.choices(range(150_000), k=TOKENS))
        made.append(
            Completion(
                problem_id=problem.id, sample_index=index % GROUP, seed=0, text=text, token_ids=ids,
                finish_reason="stop", engine="trl",
            )
        )  # fmt: skip
    return made


def timed(do: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def main() -> None:
    """Writes, audits and shows the rollouts, and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(20_000)]
    store = Store(options.folder)
    steps = -(-options.rows // BATCH)
    asked = problems(BATCH // GROUP)

    def set_(draft: object) -> BuildResult:
        write_records(draft.path / "problems.parquet", asked, Problem)  # type: ignore[attr-defined]
        return BuildResult({"rows": len(asked)})

    sums = store.build(ProblemSet, Spec("reasoning_problems", "curate", 1, Recipe(), {}), set_)
    batch = [problem for problem in asked for _ in range(GROUP)]
    replied = replies(batch, chance, words)
    verdicts = [
        Verdict(
            outcome=Outcome.CORRECT if i % 2 else Outcome.WRONG,
            score=float(i % 2),
            extracted=None,
            detail="",
            verifier="maths@1",
        )
        for i in range(BATCH)
    ]
    spent = {"write": 0.0, "plain": 0.0}

    def make(draft: object) -> BuildResult:
        log = RolloutLog(draft, "chat")  # type: ignore[arg-type]
        plain = bare_draft(options.folder / "plain").scratch
        for step in range(steps):
            prompts = [step * len(asked) + i // GROUP for i in range(BATCH)]

            def keep(step: int = step, prompts: list[int] = prompts) -> None:
                log.judged(verdicts)
                log.rewarded("accuracy", prompts, batch, replied, [verdict.score for verdict in verdicts])
                log.rewarded("format", prompts, batch, replied, [1.0] * BATCH)
                half = 0.5 / ((0.25 * GROUP / (GROUP - 1)) ** 0.5 + 1e-4)
                log.keep(step, RUBRIC.weights, [half if i % 2 else -half for i in range(BATCH)], None)
                log.write()

            spent["write"] += timed(keep)
            (written,) = sorted((draft.scratch / "rollouts").glob(f"{step:08d}.*.parquet"))  # type: ignore[attr-defined]
            frame = pl.read_parquet(written)
            spent["plain"] += timed(lambda frame=frame: frame.write_parquet(plain / "batch.parquet"))  # type: ignore[misc]
        spent["publish"] = timed(lambda: log.publish(draft.path))  # type: ignore[attr-defined]
        return BuildResult({"template": "chat", "rollouts": steps * BATCH})

    model = store.build(Checkpoint, Spec("r1_zero", "reinforce", 8, Reinforced(), {"problems": sums}), make)
    with default_grader(Runtime(threads=2)) as grader:
        audited = timed(lambda: findings.extend(check_rollouts(model, [sums], grader, ["math"], REJUDGED_ROWS)))
    shown = timed(lambda: health(model.rollouts()))
    rows = steps * BATCH
    result = {
        "rows": rows,
        "columns": len(rollout_schema()),
        "rows_per_second": rows / (spent["write"] + spent["publish"]),
        "write_over_plain_parquet": (spent["write"] + spent["publish"]) / spent["plain"],
        "audit_seconds": audited,
        "findings": len(findings),
        "page_seconds": shown,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "bytes": sum(table.stat().st_size for table in model.rollout_tables()),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


findings: list[object] = []

if __name__ == "__main__":
    main()
