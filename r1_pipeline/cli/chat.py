"""The work behind `r1 chat`: a session with a checkpoint of the graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.data.templates import FORMS, TemplateName
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.engine import Engine, request_for, sample_seed
from r1_pipeline.generation.engine_factory import open_engine
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Completion, Sampling


@dataclass
class ChatSession:
    """A loaded model with its prompt template; there is no conversation state, so every question is independent."""

    engine: Engine
    template: TemplateName
    sampling: Sampling
    digest: str
    turn: int = 0

    def answer(self, question: str) -> Completion:
        """Samples the model's completion of `question`."""
        self.turn += 1
        request = request_for(self.template, question, "chat", self.turn, sample_seed(self.turn, question, 0))
        said = self.engine.generate([request], self.sampling)[0]
        return said.model_copy(update={"text": FORMS[self.template].ended(said.text, self.sampling.stop)})


@contextmanager
def open_chat(profile: Profile, checkpoint: Checkpoint, temperature: float) -> Iterator[ChatSession]:
    """Opens a session with a version of a model, on the profile's engine and with the token limit of its evaluation.

    Completions of a server are not stored.
    """
    recipe = profile.bound.recipe(profile.bound.evaluation(profile.bound.name(checkpoint.name)))
    assert isinstance(recipe, EvaluateRecipe)
    sampling = recipe.ask.sampling.model_copy(update={"temperature": temperature})
    local = profile.runtime.model_copy(update={"cluster": None})
    with TemporaryDirectory() as scratch, open_engine(checkpoint, recipe.ask.engine, local, Path(scratch)) as engine:
        yield ChatSession(engine, checkpoint.template, sampling, checkpoint.digest)
