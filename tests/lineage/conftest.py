"""The fixture is the home that all tests here read."""

from pathlib import Path

import pytest
from lineage_world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home: Path = tmp_path_factory.mktemp("lineage") / "home"
    return make_world(home)
