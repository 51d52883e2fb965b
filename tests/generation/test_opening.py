"""Which engine answers: the one that is configured, or an error."""

from pathlib import Path
from typing import Literal, cast

import pytest

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.engines import EngineSettings
from r1_pipeline.generation.opening import engine_identity, open_engine
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.rollouts import rollout_arguments


class Unheard(EngineSettings):
    """An engine that somebody added to the settings and nowhere else."""

    type: Literal["unheard"] = "unheard"
    clip: float = 2.0


RUNTIME = Runtime().model_copy(update={"engine": Unheard(), "rollouts": Unheard()})


class Model:
    path, digest = Path("nowhere"), "d" * 64


def test_an_engine_that_is_not_known_is_an_error_and_not_another_engine(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Unheard"), open_engine(cast(Checkpoint, Model()), RUNTIME, tmp_path):
        pass
    with pytest.raises(AssertionError, match="unheard"):
        engine_identity(RUNTIME)
    with pytest.raises(AssertionError, match="unheard"):
        rollout_arguments(RUNTIME)
