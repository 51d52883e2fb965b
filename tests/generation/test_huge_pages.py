"""Big tensors on the CPU are taken in huge pages, since faults of small ones took a third of a training step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
TENSOR = 200 * 2**20
FAULTS = f"""
import r1_pipeline, resource, torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.empty({TENSOR}, dtype=torch.uint8).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> int:
    """Returns the page faults of filling a new tensor in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    output = subprocess.run(
        [sys.executable, "-c", FAULTS], env=inherited | environment, check=True, capture_output=True, text=True
    ).stdout
    return int(output)


@pytest.mark.skipif(
    not MODE.exists() or "[madvise]" not in MODE.read_text(), reason="this kernel gives huge pages always or never"
)
def test_a_big_tensor_has_a_tenth_of_the_page_faults_unless_the_user_says_otherwise() -> None:
    small_pages = TENSOR // os.sysconf("SC_PAGE_SIZE")
    assert faults() < small_pages / 10
    assert faults(THP_MEM_ALLOC_ENABLE="0") > small_pages / 2
