"""The measured figures of one or more finished `tiny` homes as one Markdown table, a column a home.

python benchmarks/seeds.py .r1 .r1-seed1 .r1-seed2
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Report = dict[str, Any]


def maths(report: Report, model: str) -> float:
    """Held-out maths pass@1."""
    return float(report["models"][model]["by_domain"]["math"]["pass_at_1"])


def mean(report: Report, model: str) -> float:
    """Mean over all domains."""
    return float(report["models"][model]["pass_at_1"])


def of(report: Report, model: str, key: str) -> float:
    """One of a model's own numbers."""
    return float(report["models"][model][key])


ROWS: dict[str, Callable[[Report], float]] = {
    "`base` maths pass@1 (at most 0.30)": lambda r: maths(r, "base"),
    "`r1_zero` maths pass@1 (at least 0.70)": lambda r: maths(r, "r1_zero"),
    "`r1_zero` − `base` (at least 0.40)": lambda r: maths(r, "r1_zero") - maths(r, "base"),
    "`r1_zero` format rate (at least 0.97)": lambda r: of(r, "r1_zero", "format_rate"),
    "`base` mean tokens": lambda r: of(r, "base", "mean_tokens"),
    "`r1_zero` mean tokens (not below `base`)": lambda r: of(r, "r1_zero", "mean_tokens"),
    "`r1_zero` language consistency (below 0.90)": lambda r: of(r, "r1_zero", "language_consistency"),
    "`dev2` language consistency (at least 0.98)": lambda r: of(r, "dev2", "language_consistency"),
    "`dev2_no_language_reward` (clearly below)": lambda r: of(r, "dev2_no_language_reward", "language_consistency"),
    "`r1` language consistency (at least 0.98)": lambda r: of(r, "r1", "language_consistency"),
    "`dev1` maths pass@1": lambda r: maths(r, "dev1"),
    "`dev2` maths pass@1": lambda r: maths(r, "dev2"),
    "`dev3` maths pass@1": lambda r: maths(r, "dev3"),
    "`r1` maths pass@1": lambda r: maths(r, "r1"),
    "`r1` − best of `r1_zero`, `dev2` (at least −0.02)": lambda r: (
        maths(r, "r1") - max(maths(r, "r1_zero"), maths(r, "dev2"))
    ),
    "`r1` mean over domains": lambda r: mean(r, "r1"),
    "best of `r1_zero`, `dev2`, mean over domains (at most `r1`)": lambda r: max(mean(r, "r1_zero"), mean(r, "dev2")),
    "`distilled/qwen` − its base (at least 0.30)": lambda r: maths(r, "distilled/qwen") - maths(r, "student_base/qwen"),
    "`distilled/llama` − its base (at least 0.30)": lambda r: (
        maths(r, "distilled/llama") - maths(r, "student_base/llama")
    ),
    "`distilled/qwen` maths pass@1": lambda r: maths(r, "distilled/qwen"),
    "`student_rl_only` maths pass@1 (same tokens)": lambda r: maths(r, "student_rl_only"),
    "`helpful_rm` accuracy (at least 0.90)": lambda r: float(r["reward_models"]["helpful_rm"]["accuracy"]),
    "`safety_rm` accuracy (at least 0.90)": lambda r: float(r["reward_models"]["safety_rm"]["accuracy"]),
    "corpus rows": lambda r: float(r["corpus"]["rows"]),
    "held-out overlap (0)": lambda r: float(r["corpus"]["heldout_overlap"]),
    "seconds in which at least one stage was computed": lambda r: float(r["total_seconds"]),
}


def main(homes: list[str]) -> None:
    """Print the table."""
    reports = [json.loads((Path(home) / "report" / "report.json").read_text(encoding="utf-8")) for home in homes]
    print("| figure | " + " | ".join(f"seed {report['seed']}" for report in reports) + " |")
    print("| --- |" + " --- |" * len(reports))
    for name, measure in ROWS.items():
        values = [measure(report) for report in reports]
        print(f"| {name} | " + " | ".join(f"{v:.3f}" if abs(v) < 100 else f"{v:.0f}" for v in values) + " |")


if __name__ == "__main__":
    main(sys.argv[1:] or [".r1"])
