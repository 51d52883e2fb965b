"""Writes the result of `r1 screen`: kept rows unchanged, and dropped rows with their reason and proof.

A row of JSON lines or CSV is copied byte for byte, a row of Parquet in the schema of its file. `dropped.jsonl` also
holds rows of JSON lines byte for byte. Parquet values without a JSON type are written as text: bytes in base64, dates,
times and durations in ISO 8601, NaN and infinities by name.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from r1_pipeline.data.ingest.files import Broken, Row, csv_header, format_of, read_rows

_GROUP_BYTES = 64 * 1024**2
"""Size in bytes of the values in a row group of the output."""


@dataclass(frozen=True)
class Proof:
    """The reason and the evidence for dropping a row, as in `screening.rows`."""

    reason: str
    against: str | None
    ngram: str | None
    value: float | None


def write_rows(source: Path, proofs: Mapping[int, Proof], out: Path) -> None:
    """Writes `kept.*` and `dropped.jsonl` into `out`; `proofs` maps the numbers of dropped rows, from 1, to their
    proofs.
    """
    form = format_of(source)
    dropped_rows: set[int] = set()
    with (out / "dropped.jsonl").open("wb") as dropped, (out / f"kept{form}").open("wb") as kept:
        if form == ".csv":
            kept.write(_with_newline(csv_header(source)))
        for number, row in enumerate(read_rows(source), 1):
            if isinstance(row, Broken):
                reason = {"reason": "unreadable", "line": row.line, "detail": row.fault}
                dropped.write(_line(reason, b"null"))
            elif number in proofs:
                dropped.write(_line(asdict(proofs[number]), _json(row, form)))
            else:  # Parquet rows have no raw bytes and are copied below
                kept.write(_with_newline(row.raw))
                continue
            dropped_rows.add(number)
    if form == ".parquet":
        _copy_kept_parquet(source, dropped_rows, out / "kept.parquet")


def _line(reason: Mapping[str, Any], row: bytes) -> bytes:
    return b'{"screen":' + json.dumps(reason, ensure_ascii=False).encode() + b',"row":' + row + b"}\n"


def _json(row: Row, form: str) -> bytes:
    if form in (".jsonl", ".ndjson"):
        return row.raw.strip()
    return to_json(row.columns, timedelta_mode="iso8601", bytes_mode="base64", inf_nan_mode="strings")


def _with_newline(raw: bytes) -> bytes:
    return raw if not raw or raw.endswith(b"\n") else raw + b"\n"


def _copy_kept_parquet(source: Path, dropped_rows: set[int], kept: Path) -> None:
    """Copies all rows except `dropped_rows`, in row groups of bounded size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        with pq.ParquetWriter(kept, schema, write_page_checksum=True) as writer:
            pending: list[Any] = []
            number = 0
            for batch in file.iter_batches(1024):
                pending.append(batch.filter(pa.array([number + i + 1 not in dropped_rows for i in range(len(batch))])))
                number += len(batch)
                if sum(part.nbytes for part in pending) >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(pending, schema))
                    pending = []
            writer.write_table(pa.Table.from_batches(pending, schema))
