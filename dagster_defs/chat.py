"""Talking to a checkpoint of the graph."""

from dataclasses import dataclass

from dagster import AssetKey, DagsterInstance

from dagster_defs.assets.evaluation import MODELS, STUDENT_MODELS
from dagster_defs.checks import blocking_checks, checks
from dagster_defs.io import HandleIOManager
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.data.templates import TemplateName, render
from r1_pipeline.distillation.students import STUDENTS
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.generation.engine import Engine, sample_seed
from r1_pipeline.generation.hf import HfEngine
from r1_pipeline.profiles import load_profile
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
        valid = [*MODELS, *(f"{name}/{student}" for name in STUDENT_MODELS for student in STUDENTS)]
        if model not in valid:
            raise UnknownNameError("model", model, valid)
        settings.export()
        name, _, partition = model.partition("/")
        manager = HandleIOManager(settings.home, blocking_checks(checks))
        with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            checkpoint = manager.newest(instance, AssetKey(name), partition or None)
        assert isinstance(checkpoint, Checkpoint)
        runtime = load_profile(settings.profile, settings.seed).runtime
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
