"""The golden-version law: a verdict of the table may change only together with the verifier's version.

`tests/golden/maths.lock.json` holds `maths.RULES` and every verdict that it gave. After a change of the table or of the
rules run this file: it writes the lock anew, and refuses where a known case changed its verdict while `RULES` stayed.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from r1_pipeline.rewards.maths import RULES

TABLE, LOCK = (Path(__file__).parents[1] / "golden" / name for name in ("maths.jsonl", "maths.lock.json"))


def cases() -> list[dict[str, Any]]:
    """The rows of the table: `reference`, `answer`, `outcome`, `reason`, and `question` where the verdict needs it."""
    return [json.loads(line) for line in TABLE.read_text().splitlines()]


def verdicts(table: list[dict[str, Any]]) -> dict[str, str]:
    """Key of a case (what is judged, hashed) -> its outcome."""
    judged = [json.dumps([row.get("question"), row["reference"], row["answer"]]) for row in table]
    return {
        hashlib.sha256(key.encode()).hexdigest()[:12]: row["outcome"] for key, row in zip(judged, table, strict=True)
    }


def changed(locked: dict[str, str], now: dict[str, str]) -> list[str]:
    """Keys of the cases whose verdict is another one than in the lock."""
    return sorted(key for key, outcome in now.items() if locked.get(key, outcome) != outcome)


def main() -> None:
    """Write the lock."""
    now = verdicts(cases())
    before = json.loads(LOCK.read_text()) if LOCK.exists() else {"rules": "", "verdicts": {}}
    if before["rules"] == RULES and (moved := changed(before["verdicts"], now)):
        sys.exit(f"verdicts changed: {', '.join(moved)}; bump RULES in r1_pipeline/rewards/maths.py")
    LOCK.write_text(json.dumps({"rules": RULES, "verdicts": dict(sorted(now.items()))}, indent=0) + "\n")


if __name__ == "__main__":
    main()
