"""`r1 screen`: a file of rows against files of benchmark items; what stays, what goes and why.

DIR gets `kept.*` in the input's format (JSON lines, CSV or Parquet), rows and columns as they were; `dropped.jsonl`,
the other rows, each beside its reason and proof (`screen`: reason, against, ngram, value); `summary.json`, the counts
and the recipe. The same input, references and versions give the same bytes. Files are read twice, never held whole.
Not covered: what is dropped (`r1_pipeline.data.screening`), mapping columns to problems (ingest).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.data.screening.rows import ROW_REASONS, STANDARD, screen_rows
from r1_pipeline.data.screening.text import tokens
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import canonical_value

if TYPE_CHECKING:
    import polars as pl

ASKED = ("question", "problem", "prompt", "instruction", "text", "input", "query")
SAID = ("solution", "answer", "response", "completion", "output", "rationale", "canonical_solution")
"""Columns that are read as text where no other are named."""
THINKING = r"(?s)<think>(.*?)</think>"
FORMATS = (".jsonl", ".csv", ".parquet")


def screen_file(
    source: Path, references: Sequence[Path], columns: Sequence[str], out: Path, threads: int
) -> dict[str, Any]:
    """Screen `source`, write `out`, give the summary. Raises `RecipeError` for a file that cannot be screened."""
    import polars as pl

    if out.exists() and any(out.iterdir()):
        raise RecipeError(f"{out} is not empty; name another folder")
    rows = scan(source)
    found = screen_rows(_as_rows(rows, columns or _text_columns(rows, source)), _items(references), STANDARD, threads)
    out.mkdir(parents=True, exist_ok=True)
    numbered = rows.select(row=pl.struct(pl.all())).with_row_index("number")
    proof = found.lazy().select(
        number=pl.col("row").cast(pl.UInt32), screen=pl.struct("reason", "against", "ngram", "value")
    )
    dropped = numbered.join(proof, on="number", how="inner", maintain_order="left")
    dropped.select("screen", "row").sink_ndjson(out / "dropped.jsonl")
    kept = numbered.join(proof, on="number", how="anti", maintain_order="left").select("row").unnest("row")
    match _format(source):
        case ".jsonl":
            kept.sink_ndjson(out / "kept.jsonl")
        case ".csv":
            kept.sink_csv(out / "kept.csv")
        case _:
            kept.sink_parquet(out / "kept.parquet")
    total = rows.select(pl.len()).collect().item()
    counts = dict(found["reason"].value_counts().iter_rows())
    summary = {
        "rows": total,
        "kept": total - found.height,
        "dropped": {reason: counts[reason] for reason in ROW_REASONS if reason in counts},
        "against": [path.name for path in references],
        "recipe": canonical_value(STANDARD),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def scan(path: Path) -> "pl.LazyFrame":
    """The rows of a JSON lines, CSV or Parquet file, the first two also as .gz or .zst; CSV fields stay text."""
    import polars as pl

    if not path.is_file():
        raise RecipeError(f"{path} is not a file; name a {', '.join(FORMATS)} file (also .gz or .zst)")
    try:
        match _format(path):
            case ".jsonl":
                frame = pl.scan_ndjson(path, infer_schema_length=None)
            case ".csv":
                frame = pl.scan_csv(path, infer_schema=False)
            case ".parquet":
                frame = pl.scan_parquet(path)
            case other:
                raise RecipeError(f"{path} is a {other or 'file without suffix'}; valid: {', '.join(FORMATS)}")
        frame.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise RecipeError(f"{path} cannot be read: {error}; mend the file") from error
    return frame


def _format(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in (".gz", ".zst") else path).suffix.lower()


def _text_columns(rows: "pl.LazyFrame", path: Path) -> list[str]:
    import polars as pl

    schema = rows.collect_schema()
    found = [name for name in (*ASKED, *SAID) if schema.get(name) == pl.String]
    if not found:
        raise RecipeError(f"{path} has no text column of a known name ({', '.join(schema)}); name some with --columns")
    return found


def _as_rows(rows: "pl.LazyFrame", columns: Sequence[str]) -> "pl.LazyFrame":
    import polars as pl

    schema = rows.collect_schema()
    if missing := [name for name in columns if schema.get(name) != pl.String]:
        raise RecipeError(f"no text column {', '.join(missing)}; there are {', '.join(schema)}")
    text = pl.concat_str(columns, separator="\n", ignore_nulls=True)
    numbers = pl.int_range(1, pl.len() + 1).cast(pl.String)
    language = pl.lit(None, dtype=pl.String)
    return rows.select(id=numbers, text=text, reasoning=text.str.extract(THINKING), language=language)


def _items(paths: Sequence[Path]) -> "pl.DataFrame":
    """`id` (`FILE#ROW`, from 1) and `text`: questions, and solutions that are not shorter than the window."""
    import polars as pl

    items = []
    for path in paths:
        rows = scan(path)
        for name in _text_columns(rows, path):
            item = rows.select(id=pl.format(f"{path.name}#{{}}", pl.int_range(1, pl.len() + 1)), text=name).drop_nulls()
            if name in SAID:
                item = item.filter(tokens(pl.col("text")).list.len() >= STANDARD.contamination.window)
            items.append(item.with_columns(pl.format("{} {}", "id", pl.lit(name)).alias("id")))
    empty = pl.DataFrame(schema={"id": pl.String, "text": pl.String})
    return pl.concat([empty, *(item.collect() for item in items)])
