"""This module writes a Croissant 1.0 description of tables: every file with its sha256, every column with its type.

The shards of one table are one record set over a set of files; a table of one file is a record set of its own.

It is written by hand, since the format is a page of JSON-LD; tests validate it with `mlcroissant`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.data.licences import spdx_pages

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the format prescribes, verbatim."""


def croissant(
    *, name: str, about: str, version: str, made: str, licences: Sequence[str], tables: Mapping[str, Path]
) -> dict[str, Any]:
    """Returns the JSON-LD description of `tables`, a mapping from the path relative to the description to the present
    file."""
    sharded: dict[str, list[Path]] = {}
    single: dict[str, Path] = {}
    for path, table in tables.items():
        if whole := _shards_of(path):
            sharded.setdefault(whole, []).append(table)
        else:
            single[path] = table
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": about,
        "version": version,
        "datePublished": made,
        "license": [_licence(licence) for licence in licences],
        "url": f"urn:r1:{version}",
        "distribution": [*(_file(path, table) for path, table in tables.items()), *map(_file_set, sharded)],
        "recordSet": [
            *(_records(whole, found[0], {"fileSet": {"@id": _set_id(whole)}}) for whole, found in sharded.items()),
            *(_records(path, table, {"fileObject": {"@id": path}}) for path, table in single.items()),
        ],
    }


def _licence(expression: str) -> str | dict[str, Any]:
    """Returns the page of a listed licence; of any other its expression, with the pages of the listed parts."""
    found = spdx_pages(expression)
    if found == [f"https://spdx.org/licenses/{expression}"]:
        return found[0]
    return {"@type": "sc:CreativeWork", "name": expression} | ({"url": found} if found else {})


def _shards_of(path: str) -> str | None:
    """Returns the table that a shard belongs to: `data/samples` for `data/samples-00003.parquet`."""
    found = re.fullmatch(r"(.+)-[0-9]+\.parquet", path)
    return found[1] if found else None


def _set_id(whole: str) -> str:
    return f"{PurePosixPath(whole).name}-files"


def _file_set(whole: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _set_id(whole),
        "name": _set_id(whole),
        "encodingFormat": "application/x-parquet",
        "includes": f"{whole}-*.parquet",
    }


def _file(path: str, table: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{table.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256_of(table),
    }


def _records(path: str, table: Path, source: dict[str, Any]) -> dict[str, Any]:
    """Returns the record set of the rows in `source`, of which `table` is one file."""
    import polars as pl

    records = PurePosixPath(path).name.removesuffix(".parquet")
    return {
        "@type": "cr:RecordSet",
        "@id": records,
        "name": records,
        "field": [_field(records, source, column, kind) for column, kind in pl.read_parquet_schema(table).items()],
    }


def _field(records: str, source: dict[str, Any], column: str, kind: Any) -> dict[str, Any]:
    repeated = kind.is_nested() and hasattr(kind, "inner")
    values = kind.inner if repeated else kind
    data_type = "sc:Float" if values.is_float() else "sc:Integer" if values.is_integer() else "sc:Text"
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column}",
        "name": column,
        "dataType": data_type,
        "source": {**source, "extract": {"column": column}},
        **({"repeated": True} if repeated else {}),
    }
