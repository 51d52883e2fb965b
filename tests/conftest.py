"""Fixtures for tests of several areas."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def public_data() -> Path:
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public data sets are missing: no shared/data in the parent folder of this repository")
    return folder
