"""The work behind `r1 screen`: screens a file of rows against files of benchmark items.

DIR receives `kept.*` in the format of the input, with every row unchanged; `dropped.jsonl`, the other rows with reason
and proof (`screen`: reason, against, ngram, value; for an unreadable row: reason, line, detail); and `summary.json`,
the counts and the recipe. The same input, references and versions give the same bytes. The input is read twice and
never held in memory as a whole; its texts are stored in DIR during screening. Not covered: the rules for dropping
(`data.screening`), and reading (`data.ingest.files`) and writing (`screen_output`) of rows.
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
from r1_pipeline.cli.screen_output import Proof, write_rows
from r1_pipeline.data.ingest.files import READERS, Broken, format_of, read_rows
from r1_pipeline.data.ingest.reserved import canaries, canary_owner
from r1_pipeline.data.screening.boilerplate import loss_warning
from r1_pipeline.data.screening.normalization import tokens
from r1_pipeline.data.screening.problems import CANARY
from r1_pipeline.data.screening.rows import BATCH_CHARACTERS, ROW_REASONS, STANDARD_SCREENING, screen_rows
from r1_pipeline.errors import R1Error, RecipeError
from r1_pipeline.recipe import canonical_value

if TYPE_CHECKING:
    import polars as pl

QUESTION_COLUMNS = ("question", "problem", "prompt", "instruction", "text", "input", "query")
ANSWER_COLUMNS = ("solution", "answer", "response", "completion", "output", "rationale", "canonical_solution")
"""Columns that are read as text if no columns are named."""
REASONING_PATTERN = r"(?s)<think>(.*?)</think>"
MAX_LISTED = 20
"""Number of unreadable rows of a file that are reported individually."""
MAX_COLUMNS_SHOWN = 50

Say = Callable[[str], None]
"""A function that receives a message of one line."""


def on_standard_error(line: str) -> None:
    """Writes a message to standard error."""
    sys.stderr.write(f"{line}\n")


def screen_file(
    source: Path,
    references: Sequence[Path],
    columns: Sequence[str],
    out: Path,
    threads: int,
    say: Say = on_standard_error,
) -> dict[str, Any]:
    """Screens the file `source` against the files `references`, writes the directory `out` and returns the summary.

    Rows that contain text of a reference or the canary of a shipped benchmark, duplicates and unreadable rows are
    dropped, each with its reason and proof (paper, sections B.3.3 and D.1). `columns` are read as text; if empty, the
    columns with well-known names are. Up to `threads` batches are screened in parallel. `say` receives a line for
    unreadable rows and for large losses.

    Raises `RecipeError` or `SourceError` for a file that cannot be screened.
    """
    if out.exists() and any(out.iterdir()):
        raise RecipeError(f"{out} is not empty; name another folder")
    source_rows, reference_rows = _RowReader(source, columns, say), [_RowReader(path, (), say) for path in references]
    items = _reference_items(reference_rows)
    if empty := [reading.path for reading in reference_rows if reading.rows == reading.unreadable_rows]:
        raise RecipeError(f"{empty[0]} has no readable row; fix it or leave it out")
    existed = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=out) as scratch:
            texts = _store_texts(source_rows, Path(scratch))
            result = screen_rows(texts, items, STANDARD_SCREENING, threads, source_rows.with_canary())
            lost = loss_warning(result, texts)
    except R1Error:
        if not existed:
            out.rmdir()  # a failed screening leaves no directory
        raise
    if lost:
        say(f"warning: {lost}")
    proofs = {int(row): Proof(*proof) for row, *proof in result.drop("row").iter_rows()}
    write_rows(source, proofs, out)
    counts = Counter({"unreadable": source_rows.unreadable_rows, **Counter(result["reason"])})
    unreadable: Counter[str] = Counter()
    for reading in (source_rows, *reference_rows):
        unreadable[reading.path.name] += reading.unreadable_rows
    summary = {
        "rows": source_rows.rows,
        "kept": source_rows.rows - counts.total(),
        "dropped": {reason: counts[reason] for reason in ("unreadable", CANARY, *ROW_REASONS) if counts[reason]},
        "unreadable": dict(+unreadable),
        "lost": lost,
        "against": [path.name for path in references],
        "recipe": canonical_value(STANDARD_SCREENING),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return summary


@dataclass
class _RowReader:
    """Reads the rows of a file as texts and counts them."""

    path: Path
    named: Sequence[str]
    """Columns that are read as text; if empty, the columns with well-known names are."""
    say: Say
    rows: int = 0
    unreadable_rows: int = 0
    """Number of rows that cannot be read."""
    _canaries: list[tuple[int, str]] = field(default_factory=list)
    """Number (from 0, among readable rows) and benchmark of every row that holds a canary."""
    _has_text: dict[str, bool] = field(default_factory=dict)
    """True for each column that had text in any row."""

    def texts(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields number (from 1) and texts by column of every readable row; a number counts as the text of its digits.

        Raises `RecipeError` at the end for a file without rows, or without text in its columns.
        """
        if format_of(self.path) not in READERS:
            raise RecipeError(f"{self.path} cannot be screened; valid: {', '.join(READERS)} (also .gz or .zst)")
        names = self.named or (*QUESTION_COLUMNS, *ANSWER_COLUMNS)
        known = canaries()
        for row in read_rows(self.path):
            self.rows += 1
            if isinstance(row, Broken):
                self.unreadable_rows += 1
                if self.unreadable_rows <= MAX_LISTED:
                    self.say(f"{self.path.name}, line {row.line}: {row.fault}")
                continue
            if owner := canary_owner(row.columns, known):
                self._canaries.append((self.rows - self.unreadable_rows - 1, owner))
            result = {name: text for name in names if (text := _text(row.columns.get(name))) is not None}
            for name in row.columns:
                self._has_text[name] = name in result or self._has_text.get(name, False)
            yield self.rows, result
        self._check_whole()

    def with_canary(self) -> "pl.DataFrame":
        """Returns `row`, `against` (the benchmark) and `reason` of the rows read that hold a canary in any column."""
        import polars as pl

        schema = {"row": pl.Int64, "against": pl.String}
        return pl.DataFrame(self._canaries, schema, orient="row").with_columns(reason=pl.lit(CANARY))

    def _check_whole(self) -> None:
        """Reports the number of rows that were not listed; raises `RecipeError` if the file gave nothing to read."""
        if self.unreadable_rows > MAX_LISTED:
            self.say(f"{self.path.name}: {self.unreadable_rows - MAX_LISTED:,} more rows are unreadable")
        if not self.rows:
            raise RecipeError(f"{self.path} has no rows; leave it out")
        if self.rows == self.unreadable_rows:
            return
        shown = ", ".join(list(self._has_text)[:MAX_COLUMNS_SHOWN])
        if missing := [name for name in self.named if not self._has_text.get(name)]:
            raise RecipeError(f"no text column {', '.join(missing)}; the columns are {shown}")
        if not any(self._has_text.values()):
            raise RecipeError(
                f"{self.path} has no text column with a well-known name ({shown}); name one with --columns"
            )


def _text(value: Any) -> str | None:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _store_texts(reading: _RowReader, scratch: Path) -> "pl.LazyFrame":
    """Stores all texts in `scratch` and returns them as `screen_rows` takes them; a row's number is its id."""
    import polars as pl

    schema = {"id": pl.String, "text": pl.String}
    held: list[tuple[str, str]] = []
    size = 0
    with ShardWriter(scratch, "texts") as writer:
        for number, result in reading.texts():
            held.append((str(number), "\n".join(result.values())))
            size += len(held[-1][1])
            if size >= BATCH_CHARACTERS:
                writer.write(pl.DataFrame(held, schema, orient="row"))
                held, size = [], 0
        writer.write(pl.DataFrame(held, schema, orient="row"))
    nobody = pl.lit(None, dtype=pl.String)
    return pl.scan_parquet(writer.paths).with_columns(
        reasoning=pl.col("text").str.extract(REASONING_PATTERN), language=nobody
    )


def _reference_items(readings: Sequence[_RowReader]) -> "pl.DataFrame":
    """Returns `id` (`FILE#ROW COLUMN`, from 1) and `text` of questions and of solutions at least one window long."""
    import polars as pl

    items = [
        (f"{reading.path.name}#{number} {name}", name in ANSWER_COLUMNS, text)
        for reading in readings
        for number, result in reading.texts()
        for name, text in result.items()
    ]
    table = pl.DataFrame(items, {"id": pl.String, "said": pl.Boolean, "text": pl.String}, orient="row")
    long = tokens(pl.col("text")).list.len() >= STANDARD_SCREENING.contamination.window
    return table.filter(~pl.col("said") | long).select("id", "text")
