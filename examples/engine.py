"""Adds the engine `greedy`, whose identity is stored with every completion and enters fingerprints.

r1 run --profile smoke --recipe examples/engine.py --select +evaluation/base
"""

from typing import Any, Literal

from r1_pipeline.engines import EngineSpec
from r1_pipeline.generation.engine_factory import EngineKind, add_engine
from r1_pipeline.generation.hf import HfEngine, engine_identity
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Completion, Sampling


class Greedy(EngineSpec):
    """Takes the most likely token, whatever the recipe's temperature."""

    type: Literal["greedy"] = "greedy"


class GreedyEngine(HfEngine):
    """The embedded engine at temperature 0."""

    def generate(self, requests: Any, sampling: Sampling, progress: Any = None) -> list[Completion]:
        """Generates one completion for each request, in order."""
        said = super().generate(requests, sampling.model_copy(update={"temperature": 0.0}), progress)
        return [completion.model_copy(update={"engine": identity()}) for completion in said]


def identity(*_: Any) -> str:
    """Returns the identity of the engine in fingerprints and completions."""
    return f"{engine_identity()}/greedy"


add_engine(Greedy, EngineKind(identity, lambda model, spec, runtime, home: GreedyEngine(model.path, runtime)))


def extend(profile: Profile) -> Profile:
    """Selects the engine for all sampling outside training."""
    return profile.with_engine(Greedy())
