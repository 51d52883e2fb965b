"""Where a row comes from, as its `source` says: `NAME/FILE:LINE#FACT`, or `GENERATOR@VERSION#FACT`.

The fact is what a row is about, whatever its language or wording: the split and the intervals go by it. Parsed and
formatted here and nowhere else.
"""

import re

from r1_pipeline.records import Record

_ROW = re.compile("([a-z][a-z0-9_]*)/(.+):([0-9]+)", re.DOTALL)
PLACE_PATTERN = r"(:[0-9]+)?#[^#]*$"
"""Regular expression of the part of a `source` that says which row of a file, or which fact of a generator."""


class Origin(Record):
    """A `source`, taken apart."""

    source: str
    """Name of a user's source, or generator and version."""
    file: str
    """Empty for a generated row."""
    line: int
    """Counted from 1; 0 for a generated row."""
    fact: str
    """Empty where none is named."""

    @classmethod
    def of(cls, text: str) -> "Origin":
        """What `text`, the `source` of a record, says."""
        place, named, fact = text.rpartition("#")
        if not named:
            place, fact = text, ""
        found = _ROW.fullmatch(place)
        if found is None:
            return cls(source=place, file="", line=0, fact=fact)
        return cls(source=found[1], file=found[2], line=int(found[3]), fact=fact)

    @property
    def place(self) -> str:
        """Source, file and line, without the fact."""
        return f"{self.source}/{self.file}:{self.line}" if self.file else self.source

    def __str__(self) -> str:
        return f"{self.place}#{self.fact}" if self.fact else self.place
