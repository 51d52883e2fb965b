"""`r1 screen`: a file of rows against files of benchmark items; what stays, what goes and why.

DIR gets `kept.*` in the input's format, each row as it stood; `dropped.jsonl`, the other rows, each beside its reason
and proof (`screen`: reason, against, ngram, value; of a row that cannot be read: reason, line, detail); `summary.json`,
the counts and the recipe. The same input, references and versions give the same bytes. The input is read twice, never
held whole; its texts lie in DIR while it is screened.
Not covered: what is dropped (`data.screening`), how rows are read (`data.ingest.files`) and written (`screened`).
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.tables import ShardWriter
from r1_pipeline.cli.screened import Proof, write_rows
from r1_pipeline.data.ingest.files import READERS, Broken, format_of, read_rows
from r1_pipeline.data.screening.boilerplate import loss
from r1_pipeline.data.screening.normalization import tokens
from r1_pipeline.data.screening.rows import BATCH_CHARACTERS, ROW_REASONS, STANDARD_SCREENING, screen_rows
from r1_pipeline.errors import R1Error, RecipeError
from r1_pipeline.recipe import canonical_value

if TYPE_CHECKING:
    import polars as pl

ASKED = ("question", "problem", "prompt", "instruction", "text", "input", "query")
SAID = ("solution", "answer", "response", "completion", "output", "rationale", "canonical_solution")
"""Columns that are read as text where no other are named."""
THINKING = r"(?s)<think>(.*?)</think>"
NAMED = 20
"""Rows of a file that cannot be read and are named one by one."""
COLUMNS_SHOWN = 50

Say = Callable[[str], None]
"""Takes a line for people."""


def on_standard_error(line: str) -> None:
    """Writes a line for people to standard error."""
    sys.stderr.write(f"{line}\n")


def screen_file(
    source: Path,
    references: Sequence[Path],
    columns: Sequence[str],
    out: Path,
    threads: int,
    say: Say = on_standard_error,
) -> dict[str, Any]:
    """Screens the file `source` against the files `references`, writes the folder `out` and returns the summary.

    Rows with text of a reference, repeated and unreadable rows are dropped, each with its reason and proof (paper,
    sections B.3.3 and D.1). `columns` are read as text, or where there are none, those of known names. `threads` work
    at once. `say` is told of rows that cannot be read and of great losses, a line each.

    Raises `RecipeError` or `SourceError` for a file that cannot be screened.
    """
    if out.exists() and any(out.iterdir()):
        raise RecipeError(f"{out} is not empty; name another folder")
    asked, against = _Reading(source, columns, say), [_Reading(path, (), say) for path in references]
    items = _items(against)
    if nothing := [reading.path for reading in against if reading.rows == reading.broken]:
        raise RecipeError(f"{nothing[0]} has no row that can be read; correct it or leave it out")
    known = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=out) as scratch:
            texts = _stored(asked, Path(scratch))
            found = screen_rows(texts, items, STANDARD_SCREENING, threads)
            lost = loss(found, texts)
    except R1Error:
        if not known:
            out.rmdir()  # a file that cannot be screened leaves nothing
        raise
    if lost:
        say(f"warning: {lost}")
    proofs = {int(row): Proof(*proof) for row, *proof in found.drop("row").iter_rows()}
    write_rows(source, proofs, out)
    counts = Counter({"unreadable": asked.broken, **Counter(found["reason"])})
    unreadable: Counter[str] = Counter()
    for reading in (asked, *against):
        unreadable[reading.path.name] += reading.broken
    summary = {
        "rows": asked.rows,
        "kept": asked.rows - counts.total(),
        "dropped": {reason: counts[reason] for reason in ("unreadable", *ROW_REASONS) if counts[reason]},
        "unreadable": dict(+unreadable),
        "lost": lost,
        "against": [path.name for path in references],
        "recipe": canonical_value(STANDARD_SCREENING),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return summary


@dataclass
class _Reading:
    """The rows of a file as texts, and what was seen of it so far."""

    path: Path
    named: Sequence[str]
    """Columns that are read as text; where there are none, those of known names."""
    say: Say
    rows: int = 0
    broken: int = 0
    """Of the rows, those that cannot be read."""
    _seen: dict[str, bool] = field(default_factory=dict)
    """Column -> whether it had text anywhere."""

    def texts(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(number from 1, column -> text) of every row that can be read; a number is the text of its digits.

        Raises `RecipeError` at the end for a file without rows, or without any text in its columns.
        """
        if format_of(self.path) not in READERS:
            raise RecipeError(f"{self.path} cannot be screened; valid: {', '.join(READERS)} (also .gz or .zst)")
        names = self.named or (*ASKED, *SAID)
        for row in read_rows(self.path):
            self.rows += 1
            if isinstance(row, Broken):
                self.broken += 1
                if self.broken <= NAMED:
                    self.say(f"{self.path.name}, line {row.line}: {row.fault}")
                continue
            found = {name: text for name in names if (text := _text(row.columns.get(name))) is not None}
            for name in row.columns:
                self._seen[name] = name in found or self._seen.get(name, False)
            yield self.rows, found
        self._judge()

    def _judge(self) -> None:
        """Say what was not named, and raise where the file as a whole gave nothing to read."""
        if self.broken > NAMED:
            self.say(f"{self.path.name}: {self.broken - NAMED:,} more rows cannot be read")
        if not self.rows:
            raise RecipeError(f"{self.path} has no rows; leave it out")
        if self.rows == self.broken:
            return
        shown = ", ".join(list(self._seen)[:COLUMNS_SHOWN])
        if missing := [name for name in self.named if not self._seen.get(name)]:
            raise RecipeError(f"no text column {', '.join(missing)}; there are {shown}")
        if not any(self._seen.values()):
            raise RecipeError(f"{self.path} has no text column of a known name ({shown}); name some with --columns")


def _text(value: Any) -> str | None:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _stored(reading: _Reading, scratch: Path) -> "pl.LazyFrame":
    """All texts as `screen_rows` takes them, in a table in `scratch`; the id of a row is its number."""
    import polars as pl

    schema = {"id": pl.String, "text": pl.String}
    held: list[tuple[str, str]] = []
    size = 0
    with ShardWriter(scratch, "texts") as writer:
        for number, found in reading.texts():
            held.append((str(number), "\n".join(found.values())))
            size += len(held[-1][1])
            if size >= BATCH_CHARACTERS:
                writer.write(pl.DataFrame(held, schema, orient="row"))
                held, size = [], 0
        writer.write(pl.DataFrame(held, schema, orient="row"))
    nobody = pl.lit(None, dtype=pl.String)
    return pl.scan_parquet(writer.paths).with_columns(reasoning=pl.col("text").str.extract(THINKING), language=nobody)


def _items(readings: Sequence[_Reading]) -> "pl.DataFrame":
    """`id` (`FILE#ROW COLUMN`, from 1) and `text`: questions, and solutions that are not shorter than the window."""
    import polars as pl

    items = [
        (f"{reading.path.name}#{number} {name}", name in SAID, text)
        for reading in readings
        for number, found in reading.texts()
        for name, text in found.items()
    ]
    table = pl.DataFrame(items, {"id": pl.String, "said": pl.Boolean, "text": pl.String}, orient="row")
    long = tokens(pl.col("text")).list.len() >= STANDARD_SCREENING.contamination.window
    return table.filter(~pl.col("said") | long).select("id", "text")
