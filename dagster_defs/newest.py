"""The newest good version of a model that someone names on the command line."""

from dagster import AssetKey, DagsterInstance

from dagster_defs.assets.evaluation import MODELS, STUDENT_MODELS
from dagster_defs.checks import blocking_checks, checks
from dagster_defs.io import HandleIOManager
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.distillation.students import STUDENTS
from r1_pipeline.errors import UnknownNameError


def newest_model(settings: Settings, model: str) -> Checkpoint:
    """The newest version of `model` that passed its gates; raises `UnknownNameError` with the models there are."""
    valid = [*MODELS, *(f"{name}/{student}" for name in STUDENT_MODELS for student in STUDENTS)]
    if model not in valid:
        raise UnknownNameError("model", model, valid)
    settings.export()
    name, _, partition = model.partition("/")
    manager = HandleIOManager(settings.home, blocking_checks(checks))
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        checkpoint = manager.newest(instance, AssetKey(name), partition or None)
    assert isinstance(checkpoint, Checkpoint)
    return checkpoint
