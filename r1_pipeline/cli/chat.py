"""The work behind `r1 chat`: a session with a checkpoint of the graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.data.templates import FORMS, TemplateName
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.engine import Engine, StreamingEngine, request_for, sample_seed
from r1_pipeline.generation.engine_factory import open_engine
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.training_data import training_sources
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

    def answer(self, question: str, heard: Callable[[str], None] | None = None) -> Completion:
        """Samples the model's completion of `question`; `heard` gets its text so far, if the engine can tell."""
        self.turn += 1
        request = request_for(self.template, question, "chat", self.turn, sample_seed(self.turn, question, 0))
        if heard is not None and isinstance(self.engine, StreamingEngine):
            said = self.engine.stream(request, self.sampling, heard)
        else:
            said = self.engine.generate([request], self.sampling)[0]
        return said.model_copy(update={"text": FORMS[self.template].ended(said.text, self.sampling.stop)})


class Typed:
    """Writes a reply as it grows, each character once, and holds back a character that is not complete yet."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._written = ""

    def heard(self, text: str) -> None:
        """Writes what the text has more than before."""
        text = text.strip().rstrip("\ufffd")
        if text.startswith(self._written):
            self._write(text[len(self._written) :])
            self._written = text

    def end(self, text: str) -> None:
        """Writes the rest of the finished reply and a line break; all of it again if it begins otherwise."""
        text = text.strip()
        again = "" if text.startswith(self._written) else "\n"
        self._write(f"{again}{text if again else text[len(self._written) :]}\n")


def trained_on(library: Library, model: Checkpoint) -> list[str]:
    """Returns a line for each source and licence that a model learned from, itself or through others; most rows
    first."""
    rows: dict[tuple[str, str], int] = {}
    for share in training_sources(library, model):
        place = share.source, share.licence
        rows[place] = rows.get(place, 0) + share.rows
    ordered = sorted(rows.items(), key=lambda each: -each[1])
    return [f"  {count:,} rows of {source} ({licence})" for (source, licence), count in ordered]


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
