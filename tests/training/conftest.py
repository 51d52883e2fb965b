"""The fixture is a tiny random model that the tests here train."""

from pathlib import Path

import pytest
from tiny_model import make_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))
