"""Opens the Dagster instance of a home; reading changes no file and creates none."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import W_OK, access
from pathlib import Path
from tempfile import TemporaryDirectory

from dagster import DagsterInstance

from dagster_defs.settings import CONFIGURATION, Settings
from r1_pipeline.errors import RequirementError


@contextmanager
def read_only_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Yields the instance of a home for reading: in place, or as a temporary copy if Dagster must write first."""
    settings.announce()
    records, expected = settings.dagster_home, settings.configuration
    configuration = records / CONFIGURATION
    ready = configuration.is_file() and configuration.read_text(encoding="utf-8") == expected
    if ready and access(records, W_OK):
        with open_instance(records) as instance:
            yield instance
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for file in (*records.glob("history/**/*"), *records.glob("schedules/**/*")):
            if file.is_file():
                (copy / file.relative_to(records)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy / file.relative_to(records))
        (copy / CONFIGURATION).write_text(expected, encoding="utf-8")
        with open_instance(copy) as instance:
            yield instance


@contextmanager
def open_instance(folder: Path) -> Iterator[DagsterInstance]:
    """Yields the instance configured in `folder`; raises `RequirementError` if its database cannot be opened."""
    with require_database(f"check R1_DAGSTER_DB, or the files in {folder}"):
        instance = DagsterInstance.from_config(str(folder))
        instance.get_runs_count()
    with instance:
        yield instance


@contextmanager
def require_database(advice: str) -> Iterator[None]:
    """Turns database errors inside the block into `RequirementError` with this advice."""
    try:
        yield
    except _failures() as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        raise RequirementError(f"cannot read or write the records: {root}; {advice}") from error


def _failures() -> tuple[type[Exception], ...]:
    """Returns the exceptions of database drivers, with Dagster's own class once its PostgreSQL extra is imported."""
    from sqlalchemy.exc import DBAPIError

    extra = sys.modules.get("dagster_postgres.utils")
    return (DBAPIError, *([extra.DagsterPostgresException] if extra else []))
