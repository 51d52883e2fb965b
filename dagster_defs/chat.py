"""Talking to a checkpoint of the graph."""

from dataclasses import dataclass

from dagster_defs.newest import newest_model
from dagster_defs.settings import Settings
from r1_pipeline.data.templates import TemplateName, render
from r1_pipeline.generation.engine import Engine, sample_seed
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.records import Request, Sampling

MAX_TOKENS = 96


@dataclass
class Partner:
    """A loaded model with its own template."""

    engine: Engine
    template: TemplateName
    temperature: float
    digest: str
    turn: int = 0

    @classmethod
    def of(cls, settings: Settings, model: str, temperature: float) -> "Partner":
        """The newest good version of `model`; raises `UnknownNameError` with the models there are."""
        checkpoint = newest_model(settings, model)
        runtime = settings.load().runtime
        engine = HfEngine(checkpoint.path, runtime)
        return cls(engine, checkpoint.statistics["template"], temperature, checkpoint.digest)

    def answer(self, question: str) -> str:
        """What the model says to `question`; every question stands for itself."""
        self.turn += 1
        request = Request(
            problem_id="chat",
            prompt=render(self.template, question),
            sample_index=self.turn,
            seed=sample_seed(self.turn, question, 0),
        )
        sampling = Sampling(temperature=self.temperature, top_p=0.95, max_tokens=MAX_TOKENS)
        return self.engine.generate([request], sampling)[0].text.strip()
