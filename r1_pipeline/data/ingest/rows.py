"""The rows of a user's source as problems or preference pairs, and what was set aside of it, and why.

Nothing is dropped silently: every row either fits or becomes a `DroppedRow` with file, line and reason. A row says
where it stands: `NAME/FILE:LINE#FACT`. Not covered: the split, repeats and reference answers (`curation`).
"""

from collections.abc import Iterator
from pathlib import Path

from r1_pipeline.data.ingest.declared import SourceRecipe, hashed
from r1_pipeline.data.ingest.files import Broken, Row, read_rows
from r1_pipeline.data.ingest.rendering import RowError
from r1_pipeline.data.origin import Origin
from r1_pipeline.errors import SourceError
from r1_pipeline.records import PreferencePair, Problem, Record


class DroppedRow(Record):
    """A row that does not enter a set."""

    source: str
    file: str
    line: int
    """Counted from 1; of a Parquet file: the row."""
    reason: str
    """`unreadable`; `unmapped`: it does not fit the mapping; `repeated`; `also_heldout`; `reference_OUTCOME`: its
    reference fails its verifier; `contradictory`: another row says the opposite; `too_long` for a model."""
    detail: str
    """One line."""

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.source}/{self.file}:{self.line}" if self.file else self.source


class Place(Record):
    """Where a row stands."""

    source: str
    file: str
    """Empty for a generated row."""
    line: int
    """0 for a generated row."""

    def __str__(self) -> str:
        return f"{self.source}/{self.file}:{self.line}"

    @classmethod
    def of(cls, source: str) -> "Place":
        """What the `source` of a record says."""
        origin = Origin.of(source)
        return cls(source=origin.source, file=origin.file, line=origin.line)

    def drop(self, reason: str, detail: str) -> DroppedRow:
        """The row that stands here, set aside."""
        return DroppedRow(source=self.source, file=self.file, line=self.line, reason=reason, detail=detail)


def place_of(source: str) -> str:
    """The `source` of a record without the fact."""
    return Origin.of(source).place


def read_source(source: SourceRecipe, folder: Path) -> Iterator[Problem | PreferencePair | DroppedRow]:
    """Every row of `source`, in order of files and lines.

    Raises `SourceError` for files that are not those of the recipe any more, that cannot be read, or of which no row
    fits.
    """
    if hashed(folder, [file.name for file in source.files]) != source.files:
        raise SourceError(f"source {source.name} changed after it was looked at; run again")
    for file in source.files:
        yield from _read_file(source, folder, file.name)


def _read_file(source: SourceRecipe, folder: Path, name: str) -> Iterator[Problem | PreferencePair | DroppedRow]:
    fits, first = False, " has no rows; leave it out"
    for row in read_rows(folder / name):
        made = _read_row(source, Place(source=source.name, file=name, line=row.line), row)
        if not isinstance(made, DroppedRow):
            fits = True
        elif not fits and first.startswith(" "):
            first = f":{made.line}: {made.detail}; mend the mapping or the file"
        yield made
    if not fits:
        raise SourceError(f"no row of source {source.name} fits: {folder / name}{first}")


def _read_row(source: SourceRecipe, place: Place, row: Row | Broken) -> Problem | PreferencePair | DroppedRow:
    if isinstance(row, Broken):
        return place.drop("unreadable", row.fault)
    try:
        return source.mapping.record(row.columns, str(place), source.licence)
    except RowError as error:
        return place.drop("unmapped", f"{error} (columns: {', '.join(row.columns)})"[:500])
