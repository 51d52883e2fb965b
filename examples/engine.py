"""An engine: r1 run --profile smoke --recipe examples/engine.py --select +evaluation/base

`greedy` is the embedded engine without chance; its identity stands in every completion and fingerprint.
"""

from typing import Any, Literal

from r1_pipeline.engines import EngineSpec
from r1_pipeline.generation.hf import HfEngine, engine_identity
from r1_pipeline.generation.opening import EngineKind, add_engine
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Completion, Sampling


class Greedy(EngineSpec):
    """Takes the most likely token, whatever the recipe's temperature."""

    type: Literal["greedy"] = "greedy"


class GreedyEngine(HfEngine):
    """The embedded engine at temperature 0."""

    def generate(self, requests: Any, sampling: Sampling, progress: Any = None) -> list[Completion]:
        """One completion for each request, in order."""
        said = super().generate(requests, sampling.model_copy(update={"temperature": 0.0}), progress)
        return [completion.model_copy(update={"engine": identity()}) for completion in said]


def identity(*_: Any) -> str:
    """What stands in fingerprints and completions."""
    return f"{engine_identity()}/greedy"


add_engine(Greedy, EngineKind(identity, lambda model, spec, runtime, home: GreedyEngine(model.path, runtime)))


def extend(profile: Profile) -> Profile:
    """Samples everything outside training with it."""
    return profile.with_engine(Greedy())
