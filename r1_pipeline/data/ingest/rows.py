"""This module turns the rows of a user's source into problems or preference pairs, or drops them with a reason.

Nothing is dropped silently: every row either fits or becomes a `DroppedRow` with file, line and reason. The `source` of
a row states its place: `NAME/FILE:LINE#FACT`. Not covered: the split, duplicates and reference answers (`curation`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from r1_pipeline.data.ingest.declared import SourceRecipe, hash_files
from r1_pipeline.data.ingest.files import Broken, Row, read_rows
from r1_pipeline.data.ingest.rendering import RowError
from r1_pipeline.data.ingest.reserved import canaries, canary_owner, reserved_by_digest
from r1_pipeline.data.origin import Origin
from r1_pipeline.errors import SourceError
from r1_pipeline.records import PreferencePair, Problem, Record


class DroppedRow(Record):
    """A row that does not enter a set, with its place and the reason."""

    source: str
    file: str
    line: int
    """The line, counted from 1; in a Parquet file the row."""
    reason: str
    """The drop reason.

    `unreadable`; `unmapped`: it does not fit the mapping; `repeated`; `also_heldout`; `reference_OUTCOME`: its
    reference fails its verifier; `contradictory`: another row says the opposite; `too_long` for a model;
    `contaminated`: it holds an item of a benchmark; `canary`: it holds a benchmark's canary; `too_easy`, `too_hard` or
    `unmeasured` by a schedule's difficulty.
    """
    detail: str
    """The evidence, in one line."""

    @property
    def where(self) -> str:
        """The place of the row, for people."""
        return f"{self.source}/{self.file}:{self.line}" if self.file else self.source


class Place(Record):
    """The place of a row in the files of its source."""

    source: str
    file: str
    """The file; empty for a generated row."""
    line: int
    """The line, counted from 1; 0 for a generated row."""

    def __str__(self) -> str:
        return f"{self.source}/{self.file}:{self.line}"

    @classmethod
    def of(cls, source: str) -> "Place":
        """Parses the place from the `source` of a record."""
        origin = Origin.of(source)
        return cls(source=origin.source, file=origin.file, line=origin.line)

    def drop(self, reason: str, detail: str) -> DroppedRow:
        """Returns the row at this place as a dropped one."""
        return DroppedRow(source=self.source, file=self.file, line=self.line, reason=reason, detail=detail)


def place_of(source: str) -> str:
    """Returns the `source` of a record without the fact."""
    return Origin.of(source).place


def read_source(source: SourceRecipe, folder: Path) -> Iterator[Problem | PreferencePair | DroppedRow]:
    """Yields every row of `source`, in order of files and lines.

    Raises `SourceError` for files that are not those of the recipe any more, that cannot be read, of which no row
    fits, or that have other content than the recipe pins; and, unless all rows are held out, for a benchmark that
    nothing may be trained on, or a row with its canary.
    """
    if hash_files(folder, [file.name for file in source.files]) != source.files:
        raise SourceError(f"source {source.name} changed after it was hashed; run again")
    ids = set()
    for file in source.files:
        for made in _read_file(source, folder, file.name):
            ids |= set() if isinstance(made, DroppedRow) else {made.id}
            yield made
    found = digest_of_problems(ids)
    if source.side != "heldout" and (name := reserved_by_digest(found)):
        raise SourceError(
            f"source {source.name} is the benchmark {name}: nothing may be trained on it; set side = "
            '"heldout", or leave it out'
        )
    if source.pin and found != source.pin.digest:
        names = ", ".join(file.name for file in source.files)
        raise SourceError(
            f"{source.name} is not the published set: {names} makes {len(ids)} problems with digest {found[:12]}, "
            f"{source.pin.digest[:12]} is pinned; get it from {source.origin}"
        )


def digest_of_problems(ids: Iterable[str]) -> str:
    """Returns the sha256 over the ids of problems, which are hashes of their content, in alphabetical order."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def _read_file(source: SourceRecipe, folder: Path, name: str) -> Iterator[Problem | PreferencePair | DroppedRow]:
    fits, first = False, " has no rows; leave it out"
    known = {} if source.side == "heldout" else canaries()
    for row in read_rows(folder / name):
        if isinstance(row, Row) and known and (owner := canary_owner(row.columns, known)):
            raise SourceError(
                f"source {source.name}: {folder / name}:{row.line} holds the canary of the benchmark {owner}: nothing "
                'may be trained on it; leave the row out, or set side = "heldout"'
            )
        made = _read_row(source, Place(source=source.name, file=name, line=row.line), row)
        if not isinstance(made, DroppedRow):
            fits = True
        elif not fits and first.startswith(" "):
            first = f":{made.line}: {made.detail}; correct the mapping or the file"
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
