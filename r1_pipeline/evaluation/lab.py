"""This module compares variants of a run with the plain run: a table with paired intervals, and verdicts.

A `Trial` is one run with one seed: its tokens, its cost, and its marks on the held-out problems. The difference between
a variant and the plain run is taken problem by problem, under the same seed. The interval is the wider of two: that
over problems, clustered by fact, and, with several seeds, Student's over the seeds' differences. One seed says nothing
about other seeds, and the page says so. Verdicts follow from the interval alone, each on its own: of twenty variants
that change nothing, one is expected to get a verdict.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from r1_pipeline.artifacts.kinds import Checkpoint, EvalReport
from r1_pipeline.evaluation.estimators import Difference, Gap, paired
from r1_pipeline.evaluation.paired import Mark, gaps, marks_of
from r1_pipeline.records import REASONING_DOMAINS, Record

Verdict = Literal["better", "no difference shown", "worse", "stopped"]
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5% points of Student's distribution, for 1 degree of freedom and more."""
MOST_SEEDS = len(STUDENT) + 1
BARS = "▁▂▃▄▅▆▇█"
POINTS = 12
"""The number of points of a curve."""


class Trial(Record):
    """One run of a variant with one seed."""

    seed: int
    generated: int
    """The number of tokens generated in training."""
    trained: int
    """The number of tokens trained on, prompts included."""
    steps: int
    seconds: float
    """The time that training took, in seconds."""
    curve: tuple[float, ...]
    """The mean accuracy of rollouts, over equal parts of the run."""
    reply_tokens: float
    """The mean number of tokens of a reply to a held-out problem."""
    commit: str
    """The first digits of the commit that trained it, with a plus if files differed from it."""
    marks: tuple[Mark, ...]
    """The marks on the held-out problems of reasoning domains."""


class Stopped(Record):
    """A run that a guard stopped."""

    seed: int
    reason: str


class Row(Record):
    """A variant with all its runs, at least one."""

    name: str
    claim: str
    source: str
    trials: tuple[Trial, ...]
    stopped: tuple[Stopped, ...] = ()


class Lab(Record):
    """A family of variants and the plain run."""

    profile: str
    plain: Row
    variants: tuple[Row, ...]


def trial(seed: int, model: Checkpoint, report: EvalReport) -> Trial:
    """Returns the measurements of one finished run."""
    import polars as pl

    answers = report.completions().filter(pl.col("domain").is_in(REASONING_DOMAINS))
    length = answers["tokens"].mean()
    assert isinstance(length, float)
    return Trial(
        seed=seed,
        generated=model.tokens["generated"],
        trained=model.tokens["trained"],
        steps=int(model.metrics()[-1]["step"]),
        seconds=model.manifest.provenance.seconds,
        curve=curve(model.metrics()),
        reply_tokens=length,
        commit=_commit(model),
        marks=marks_of(answers, "domain"),
    )


def _commit(model: Checkpoint) -> str:
    made = model.manifest.provenance
    return f"{made.commit[:9]}{'+' if made.diff_sha256 else ''}" if made.commit else "unknown"


def curve(metrics: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Returns the mean accuracy of rollouts over at most `POINTS` equal parts of the run."""
    values = [row["reward/accuracy"] for row in metrics if "reward/accuracy" in row]
    count = min(POINTS, len(values))
    parts = [values[len(values) * part // count : len(values) * (part + 1) // count] for part in range(count)]
    return tuple(math.fsum(part) / len(part) for part in parts)


def pass_at_1(trials: Sequence[Trial]) -> float:
    """Returns the mean over seeds of the unweighted mean over domains."""
    return math.fsum(_mean(each.marks) for each in trials) / len(trials)


def _mean(marks: Sequence[Mark]) -> float:
    by_domain: dict[str, list[float]] = {}
    for mark in marks:
        by_domain.setdefault(mark.group, []).append(mark.score)
    return math.fsum(math.fsum(scores) / len(scores) for scores in by_domain.values()) / len(by_domain)


def difference(row: Row, plain: Row) -> Difference | None:
    """Returns the mean of pass@1 less the plain run's over the seeds of both, with the wider interval; None without a
    common seed."""
    before = {each.seed: each.marks for each in plain.trials}
    apart = [gaps(each.marks, before[each.seed]) for each in row.trials if each.seed in before]
    if not apart:
        return None
    pooled: dict[str, list[Gap]] = {}
    for each in apart:
        for domain, found in each.items():
            pooled.setdefault(domain, []).extend(found)
    problems = paired(list(pooled.values()))
    return _widened(problems, [paired(list(each.values())).value for each in apart])


def _widened(problems: Difference, by_seed: Sequence[float]) -> Difference:
    """Returns the interval over problems, widened to Student's over seeds."""
    count = len(by_seed)
    if count < 2:
        return problems
    mean = math.fsum(by_seed) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in by_seed) / (count - 1))
    half = STUDENT[count - 2] * deviation / math.sqrt(count)
    lo, hi = min(problems.lo, mean - half), max(problems.hi, mean + half)
    return problems.model_copy(update={"lo": max(-1.0, lo), "hi": min(1.0, hi)})


def verdict(row: Row, plain: Row) -> Verdict:
    """Returns the verdict on a variant: a run that a guard stopped decides, otherwise the interval."""
    found = difference(row, plain)
    if row.stopped or found is None:
        return "stopped"
    if found.lo > 0:
        return "better"
    return "worse" if found.hi < 0 else "no difference shown"


def page(lab: Lab) -> str:
    """Returns the table in Markdown."""
    seeds = [each.seed for each in lab.plain.trials]
    heads = "| variant | tokens | updates | pass@1 | difference | reply | rollouts' accuracy | minutes | verdict |"
    commits = sorted({each.commit for row in (lab.plain, *lab.variants) for each in row.trials})
    lines = [
        f"Profile `{lab.profile}`, {_seeds(seeds)}; trained by commit {', '.join(commits)}.",
        "",
        heads,
        "|" + " --- |" * 9,
        _line(lab.plain, lab.plain),
        *(_line(row, lab.plain) for row in lab.variants),
        "",
        "| variant | its source says | source | what came out |",
        "|" + " --- |" * 4,
        *(f"| `{row.name}` | {row.claim} | {row.source} | {outcome(row, lab.plain)} |" for row in lab.variants),
    ]
    return "\n".join(lines) + "\n"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]} alone, so intervals are over problems and say nothing about other seeds"
    return f"seeds {', '.join(map(str, seeds))}"


def _line(row: Row, plain: Row) -> str:
    if not row.trials:
        return f"| `{row.name}` |" + " – |" * 7 + f" {verdict(row, plain)} |"
    compared = {each.seed for each in plain.trials}
    spent = [each.generated for each in row.trials if each.seed in compared]
    budget = [each.generated for each in plain.trials if each.seed in {each.seed for each in row.trials}]
    mean = [math.fsum(part) / len(row.trials) for part in zip(*(each.curve for each in row.trials), strict=False)]
    cells = [
        f"`{row.name}`",
        f"{sum(spent) / sum(budget):.1%}",
        f"{math.fsum(each.steps for each in row.trials) / len(row.trials):.0f}",
        f"{pass_at_1(row.trials):.3f}",
        "–" if row.name == plain.name else interval(row, plain),
        f"{math.fsum(each.reply_tokens for each in row.trials) / len(row.trials):.1f}",
        "".join(BARS[min(len(BARS) - 1, int(value * len(BARS)))] for value in mean),
        f"{math.fsum(each.seconds for each in row.trials) / 60:.1f}",
        "–" if row.name == plain.name else verdict(row, plain),
    ]
    return f"| {' | '.join(cells)} |"


def interval(row: Row, plain: Row) -> str:
    """Formats the difference with its interval, in points."""
    found = difference(row, plain)
    assert found is not None
    return f"{_points(found.value)} [{_points(found.lo)}, {_points(found.hi)}]"


def outcome(row: Row, plain: Row) -> str:
    """Formats the verdict with its number, or with the guard that stopped a run."""
    if row.stopped:
        return f"stopped in {len(row.stopped)} of {len(row.stopped) + len(row.trials)} runs: {row.stopped[0].reason}"
    return f"{verdict(row, plain)}: {interval(row, plain)} points"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
