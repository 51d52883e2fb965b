"""The golden-version law: a verdict of a golden table may change only together with the version of its verifier.

`tests/golden/NAME.lock.json` contains that version and every verdict of `tests/golden/NAME.jsonl`. Run this file after
a change of a table or of the rules: it writes the locks again, and refuses if a known case changed its verdict while
the version stayed the same.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from r1_pipeline.rewards import maths, multiple_choice

FOLDER = Path(__file__).parents[1] / "golden"
VERSIONS = {"maths": maths.RULES, "extraction": f"{maths.RULES} {multiple_choice.RULES}"}
"""The version of the rules that judge each golden table."""


def cases(name: str = "maths") -> list[dict[str, Any]]:
    """Returns the rows of a table, each with `reference`, `answer` and `reason`.

    A row also has `outcome`, and `question` if the verdict needs it; or `domain`, and an outcome for each extraction
    rule, `strict` and `lenient`.
    """
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def lock(name: str = "maths") -> Path:
    """Returns the file that locks the verdicts of a table."""
    return FOLDER / f"{name}.lock.json"


def verdicts(table: list[dict[str, Any]]) -> dict[str, str]:
    """Returns the outcome of each case by its key, a hash of its question or domain, reference and answer."""
    judged = [json.dumps([row.get("question", row.get("domain")), row["reference"], row["answer"]]) for row in table]
    outcomes = [row.get("outcome") or f"{row['strict']} {row['lenient']}" for row in table]
    return {
        hashlib.sha256(key.encode()).hexdigest()[:12]: outcome for key, outcome in zip(judged, outcomes, strict=True)
    }


def changed(locked: dict[str, str], now: dict[str, str]) -> list[str]:
    """Returns the keys of the cases whose verdict differs from the lock."""
    return sorted(key for key, outcome in now.items() if locked.get(key, outcome) != outcome)


def main() -> None:
    """Writes the locks."""
    for name, version in VERSIONS.items():
        now = verdicts(cases(name))
        before = json.loads(lock(name).read_text()) if lock(name).exists() else {"rules": "", "verdicts": {}}
        if before["rules"] == version and (moved := changed(before["verdicts"], now)):
            sys.exit(
                f"verdicts of {name} changed: {', '.join(moved)}; bump RULES of the verifier in r1_pipeline/rewards"
            )
        lock(name).write_text(json.dumps({"rules": version, "verdicts": dict(sorted(now.items()))}, indent=0) + "\n")


if __name__ == "__main__":
    main()
