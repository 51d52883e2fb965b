"""Dagster's records of a home, to read. A question changes no file: where there are no records, none are made."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import W_OK, access
from pathlib import Path
from tempfile import TemporaryDirectory

from dagster import DagsterInstance

from dagster_defs.settings import CONFIGURATION, Settings
from r1_pipeline.errors import RequirementError


@contextmanager
def history(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance of a home, to read from: in place, or a copy where Dagster would have to write something first."""
    settings.announce()
    kept, wanted = settings.dagster_home, settings.configuration
    configuration = kept / CONFIGURATION
    ready = configuration.is_file() and configuration.read_text(encoding="utf-8") == wanted
    if ready and access(kept, W_OK):
        with opened(kept) as instance:
            yield instance
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for file in (*kept.glob("history/**/*"), *kept.glob("schedules/**/*")):
            if file.is_file():
                (copy / file.relative_to(kept)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy / file.relative_to(kept))
        (copy / CONFIGURATION).write_text(wanted, encoding="utf-8")
        with opened(copy) as instance:
            yield instance


@contextmanager
def opened(folder: Path) -> Iterator[DagsterInstance]:
    """The instance that `folder` configures; raises `RequirementError` where its data base cannot be opened."""
    from sqlalchemy.exc import DBAPIError

    try:
        instance = DagsterInstance.from_config(str(folder))
        instance.get_runs_count()
    except DBAPIError as error:
        raise RequirementError(
            f"the records of Dagster cannot be opened: {error.orig}; check R1_DAGSTER_DB, or the files in {folder}"
        ) from error
    with instance:
        yield instance
