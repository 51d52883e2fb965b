"""The factory opens the engine that is named, or raises an error."""

from pathlib import Path
from typing import Literal, cast

import pytest

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.engines import EngineSpec
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.generation.engine_factory import engine_identity, open_engine
from r1_pipeline.recipe import Runtime


class Unheard(EngineSpec):
    """An engine that a recipe names and nobody added."""

    type: Literal["vlm"] = "vlm"


class Model:
    path, digest = Path("nowhere"), "d" * 64


def test_an_engine_that_is_not_known_is_an_error_and_not_another_engine(tmp_path: Path) -> None:
    message = r"unknown engine 'vlm'; did you mean vllm\?"
    with (
        pytest.raises(UnknownNameError, match=message),
        open_engine(cast(Checkpoint, Model()), Unheard(), Runtime(), tmp_path),
    ):
        pass
    with pytest.raises(UnknownNameError, match=message):
        engine_identity(Unheard())
