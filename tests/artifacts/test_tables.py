"""Laws of tables: the same rows give the same bytes however they arrive; a shard holds whole row groups, in order."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from r1_pipeline.artifacts import tables
from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.artifacts.tables import read_groups, row_bytes, write_shards, write_table
from r1_pipeline.records import Problem, sparse

ROWS = pl.DataFrame({"id": [f"{i:04d}" for i in range(1000)], "text": ["x" * (i % 50) for i in range(1000)]})


def test_a_row_is_as_large_as_its_texts_and_lists() -> None:
    frame = pl.DataFrame(
        {"a": ["éa", None], "b": [[1, 2, 3], []], "c": [1, 2]}, schema_overrides={"b": pl.List(pl.Int32)}
    )
    assert row_bytes(frame).to_list() == [24 + 3 + 24, 24]


def test_pieces_and_whole_give_the_same_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 2_000)
    monkeypatch.setattr(tables, "SHARD_BYTES", 12_000)
    digests = []
    for name, step in (("one", 1000), ("many", 7), ("some", 333)):
        folder = tmp_path / name
        folder.mkdir()
        frames = [ROWS[start : start + step] for start in range(0, 1000, step)]
        assert write_shards(folder, "rows", [ROWS[:0], *frames]) == 1000
        paths = sorted(folder.glob("rows-*.parquet"))
        digests.append([sha256_of(path) for path in paths])
    assert len(set(map(tuple, digests))) == 1
    assert len(digests[0]) == 4  # 1000 rows of 16 + 4 + 24.5 bytes
    assert pl.concat(read_groups(paths)).equals(ROWS)
    assert max(pq.read_metadata(path).row_group(0).num_rows for path in paths) <= 2_000 / 20


def test_no_rows_are_one_table_of_the_same_columns(tmp_path: Path) -> None:
    assert write_shards(tmp_path, "rows", [ROWS[:0]]) == 0
    assert pl.read_parquet(tmp_path / "rows-00000.parquet").schema == ROWS.schema
    write_table(tmp_path / "none.parquet", tables.frame_of([], Problem))
    assert set(pl.read_parquet_schema(tmp_path / "none.parquet")) == set(Problem.model_fields) - set(sparse(Problem))


def test_a_page_that_has_changed_is_not_read(tmp_path: Path) -> None:
    write_shards(tmp_path, "rows", [ROWS])
    path = tmp_path / "rows-00000.parquet"
    bytes_ = bytearray(path.read_bytes())
    bytes_[200] ^= 1
    path.write_bytes(bytes_)
    with pytest.raises(OSError, match=r"(?i)crc|checksum|corrupt"):
        list(read_groups([path]))
