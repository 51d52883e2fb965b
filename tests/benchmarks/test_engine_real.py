"""The comparison of engines on a real model runs in miniature on a random one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "engine_real.py"


@pytest.mark.slow
def test_both_peers_complete_every_prompt_and_the_ratio_is_that_of_their_rates() -> None:
    """Four prompts of eight samples, of at most eight tokens each."""
    done = subprocess.run([sys.executable, "-W", "ignore", str(SCRIPT), "--toy"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rates = found["rates"]
    assert set(rates) == {"bare_float32", "ours_float32"}
    assert all(4 * 8 <= rate["tokens"] <= 4 * 8 * 8 for rate in rates.values())
    for key in ("tokens_per_s", "tokens_per_cpu_s"):
        assert found["ratios"]["ours_float32"][key] == pytest.approx(
            rates["ours_float32"][key] / rates["bare_float32"][key]
        )
