"""Copies the records of a home from SQLite to PostgreSQL: Dagster's runs, events and checks, and everything of
MLflow's.

Dagster and MLflow first create their own tables. Rows are then read and written through those table definitions, so
that SQLAlchemy converts the types. Dagster keeps one SQLite file of events per run plus an index of some of them, but a
single table in PostgreSQL: events are therefore renumbered in order of time, and every pointer to an event is updated.
Not copied: ticks and cursors of sensors and schedules, which start again.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance, RunsFilter

from dagster_defs.execution.dead_runs import ACTIVE, reap_dead_runs
from dagster_defs.settings import DAGSTER_DB, Settings, with_driver
from r1_pipeline.errors import R1Error
from r1_pipeline.records import Record

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

RUNS = ("snapshots", "runs", "run_tags", "bulk_actions", "backfill_tags")
ASSETS = ("asset_keys", "asset_event_tags", "dynamic_partitions", "asset_check_executions")
"""Tables of the event index that are copied in addition to the events."""
POINTER = "dagster/input_event_pointer/"
"""Prefix of the tag that records which event of an input a materialization read."""
BATCH = 1000


class MigrationError(R1Error):
    """Raised when the records cannot be copied in the present state."""


class MigrationCounts(Record):
    """Numbers of rows that the two databases hold after the copy."""

    runs: int
    """Number of Dagster runs."""
    events: int
    tracked_runs: int
    """Number of MLflow runs."""


def migrate(settings: Settings) -> MigrationCounts:
    """Copies the records of a home to the databases named by `R1_DAGSTER_DB` and `MLFLOW_TRACKING_URI`.

    The home keeps its own records. Raises `MigrationError` if a variable does not name a PostgreSQL database, if a run
    is in progress, or if a database already holds runs.
    """
    dagster, mlflow = with_driver(os.environ.get(DAGSTER_DB, "")), settings.tracking_uri
    for name, url in ((DAGSTER_DB, dagster), ("MLFLOW_TRACKING_URI", mlflow)):
        if not url.startswith("postgresql"):
            raise MigrationError(f"{name} does not name a PostgreSQL database; set it to postgresql://…")
    os.environ[DAGSTER_DB] = dagster  # Dagster reads it from here if the home already uses it
    source_settings = replace(settings, tracking_uri=f"sqlite:///{settings.home / 'mlflow.db'}")
    reap_dead_runs(source_settings)
    with DagsterInstance.from_config(str(source_settings.dagster_home)) as instance:
        if instance.get_runs(RunsFilter(statuses=ACTIVE), limit=1):
            raise MigrationError("a run is in progress; wait until it ends, stop r1 ui, and try again")
    history = source_settings.dagster_home / "history"
    _make_dagster_tables(dagster)
    with _TargetDatabase.opened(dagster) as target:
        with _connected(f"sqlite:///{history / 'runs.db'}") as runs:
            target.copy_tables(runs, RUNS)
        events = _move_events(history / "runs", target)
        count = target.count("runs")
    _make_mlflow_tables(mlflow)
    with _TargetDatabase.opened(mlflow) as target, _connected(source_settings.tracking_uri) as records:
        target.copy_tables(records, [name for name in target.tables if name != "alembic_version"])
        return MigrationCounts(runs=count, events=events, tracked_runs=target.count("runs"))


class _TargetDatabase:
    """A database that receives rows in one transaction: all of them, or none after an error."""

    def __init__(self, connection: "Connection") -> None:
        from sqlalchemy import MetaData

        metadata = MetaData()
        metadata.reflect(connection)
        self._connection = connection
        self.tables: Mapping[str, Table] = {table.name: table for table in metadata.sorted_tables}

    @classmethod
    @contextmanager
    def opened(cls, url: str) -> Iterator["_TargetDatabase"]:
        """Opens the database at `url` for one transaction; its sequences continue after the copied rows.

        Raises `MigrationError` if the database already holds runs.
        """
        from sqlalchemy import create_engine

        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                target = cls(connection)
                if target.count("runs"):
                    where = engine.url.render_as_string(hide_password=True)
                    raise MigrationError(f"{where} already holds runs; name an empty database")
                yield target
                target._advance_sequences()
        finally:
            engine.dispose()

    def count(self, name: str) -> int:
        """Returns the number of rows in the table `name`."""
        from sqlalchemy import func, select

        return int(self._connection.execute(select(func.count()).select_from(self.tables[name])).scalar_one())

    def copy_tables(self, source: "Connection", names: Iterable[str]) -> None:
        """Replaces the rows of these tables by the rows of the same tables in `source`."""
        from sqlalchemy import inspect

        selected, existing = set(names), set(inspect(source).get_table_names())
        tables = [table for name, table in self.tables.items() if name in selected]
        for table in reversed(tables):
            self._connection.execute(table.delete())
        for table in tables:
            if table.name in existing:
                self.write(table.name, _rows(source, table))

    def write(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Inserts `rows` into the table `name` in batches of `BATCH`."""
        batch: list[Mapping[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                self._connection.execute(self.tables[name].insert(), batch)
                batch = []
        if batch:
            self._connection.execute(self.tables[name].insert(), batch)

    def _advance_sequences(self) -> None:
        from sqlalchemy import text

        sequence_of = text("select pg_get_serial_sequence(:table, :column)")
        for table in self.tables.values():
            for column in table.primary_key:
                names = {"table": table.name, "column": column.name}
                sequence = self._connection.execute(sequence_of, names).scalar_one()
                if sequence:
                    last = f'(select coalesce(max("{column.name}"), 0) + 1 from "{table.name}")'
                    self._connection.execute(text(f"select setval('{sequence}', {last}, false)"))


def _move_events(folder: Path, target: _TargetDatabase) -> int:
    """Copies the events of all runs under new numbers, with their entries in the index, and returns the number of
    events.
    """
    table, found = target.tables["event_logs"], list[tuple[Any, str, int, dict[str, Any]]]()
    for file in sorted(folder.glob("*.db")):
        if file.stem != "index":
            with _connected(f"sqlite:///{file}") as run:
                found += [(row["timestamp"], row["run_id"], row["id"], row) for row in _rows(run, table)]
    found.sort(key=lambda event: event[:3])
    numbers = {(row["run_id"], row["event"]): number for number, (*_, row) in enumerate(found, 1)}
    with _connected(f"sqlite:///{folder / 'index.db'}") as index:
        moved = {row["id"]: numbers[row["run_id"], row["event"]] for row in _rows(index, table)}
        target.write("event_logs", (_renumbered(row | {"id": n}, moved) for n, (*_, row) in enumerate(found, 1)))
        for name in ASSETS:
            target.write(name, (_renumbered(row, moved) for row in _rows(index, target.tables[name])))
    return len(found)


def _renumbered(row: dict[str, Any], moved: Mapping[int, int]) -> dict[str, Any]:
    """Returns the row with its pointers to events, in columns and in serialized values, mapped to the new numbers."""
    for name, value in row.items():
        if name.endswith("event_id") or name.endswith("storage_id"):
            row[name] = moved.get(value)
        elif isinstance(value, str) and value.startswith("{"):
            row[name] = json.dumps(_remap_pointers(json.loads(value), moved))
    if row.get("key", "").startswith(POINTER) and row["value"].isdigit():
        row["value"] = str(moved[int(row["value"])])
    if "cached_status_data" in row:
        row["cached_status_data"] = None  # Dagster computes it again
    return row


def _remap_pointers(value: Any, moved: Mapping[int, int]) -> Any:
    if isinstance(value, list):
        return [_remap_pointers(each, moved) for each in value]
    if not isinstance(value, dict):
        return value
    new = {key: _remap_pointers(each, moved) for key, each in value.items()}
    for key, each in new.items():
        if key == "storage_id" and isinstance(each, int):
            new[key] = moved[each]
        elif key.startswith(POINTER) and each.isdigit():
            new[key] = str(moved[int(each)])
    return new


def _rows(source: "Connection", table: "Table") -> Iterator[dict[str, Any]]:
    """Yields the rows of `table` in `source`, with the columns that `source` has and the target does not compute."""
    from sqlalchemy import inspect, select

    names = {column["name"] for column in inspect(source).get_columns(table.name)}
    columns = [column for column in table.columns if column.name in names and column.computed is None]
    for row in source.execute(select(*columns)):
        yield dict(row._mapping)


@contextmanager
def _connected(url: str) -> "Iterator[Connection]":
    from sqlalchemy import create_engine

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _make_dagster_tables(url: str) -> None:
    from dagster_postgres import DagsterPostgresStorage

    storage = DagsterPostgresStorage(url)
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part.dispose()


def _make_mlflow_tables(url: str) -> None:
    from mlflow import MlflowClient

    MlflowClient(url, url).search_experiments()
