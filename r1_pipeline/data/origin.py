"""An `Origin` is the parsed `source` of a row: `NAME/FILE:LINE#FACT`, or `GENERATOR@VERSION#FACT`.

The fact is what a row is about, whatever its language or wording; the split and the confidence intervals group rows by
it. Only this module parses and formats a `source`.
"""

import re

from r1_pipeline.records import Record

_ROW = re.compile("([a-z][a-z0-9_]*)/(.+):([0-9]+)", re.DOTALL)
PLACE_PATTERN = r"(:[0-9]+)?#[^#]*$"
"""A regular expression for the end of a `source`: the line in a file, and the fact."""


class Origin(Record):
    """A parsed `source`."""

    source: str
    """The name of a user's source, or a generator and its version."""
    file: str
    """The file relative to the source's folder; empty for a generated row."""
    line: int
    """The line, counted from 1; 0 for a generated row."""
    fact: str
    """The fact that the row is about; empty where none is named."""

    @classmethod
    def of(cls, text: str) -> "Origin":
        """Parses `text`, the `source` of a record."""
        place, named, fact = text.rpartition("#")
        if not named:
            place, fact = text, ""
        found = _ROW.fullmatch(place)
        if found is None:
            return cls(source=place, file="", line=0, fact=fact)
        return cls(source=found[1], file=found[2], line=int(found[3]), fact=fact)

    @property
    def place(self) -> str:
        """The source, file and line, without the fact."""
        return f"{self.source}/{self.file}:{self.line}" if self.file else self.source

    def __str__(self) -> str:
        return f"{self.place}#{self.fact}" if self.fact else self.place
