"""A sources file declares all that must be known of a source; a missing or wrong field is refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1_pipeline.data.ingest.declared import Declared, read_sources
from r1_pipeline.data.ingest.rows import DroppedRow, Place, read_source
from r1_pipeline.errors import RecipeError, SourceError, UnknownNameError
from r1_pipeline.records import Problem

COMMIT = "e53f048856ff4f594e959d75785d2c2d37b678ee"
ENTRY = {
    "name": "mine",
    "path": "a.jsonl",
    "mapping": "gsm8k",
    "licence": "mit",
    "origin": "https://example.org",
    "side": "split",
}
ALL = ["math", "code", "stem", "logic", "general", "preference"]


def declare(folder: Path, builtin: list[str] | None = None, **changes: object) -> Declared:
    """Writes the sources file with one changed entry; None leaves a field out."""
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    lines = [f"builtin = {json.dumps(ALL if builtin is None else builtin)}", "[[source]]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    (folder / "sources.toml").write_text("\n".join(lines), encoding="utf-8")
    return read_sources(folder / "sources.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def test_a_source_is_its_names_mapping_and_contents_and_no_path(folder: Path, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    here = declare(folder)
    [source] = here.recipes
    assert (source.name, source.licence, source.side, source.feeds) == ("mine", "MIT", "split", "math")
    assert here.folders == {"mine": str(folder)}
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "a.jsonl").write_bytes((folder / "a.jsonl").read_bytes())
    assert declare(elsewhere).recipes == here.recipes
    (elsewhere / "a.jsonl").write_bytes((folder / "a.jsonl").read_bytes() + b"\n")
    assert declare(elsewhere).recipes[0].digest != source.digest


def test_a_folder_gives_the_files_that_are_asked_for_in_order_of_their_names(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "b.jsonl").write_text('{"question": "b?", "answer": "#### 1"}')
    (folder / "notes.md").write_text("not data")
    [source] = declare(folder, path=".", files=["**/*.jsonl"]).recipes
    assert [file.name for file in source.files] == ["a.jsonl", "more/b.jsonl"]
    places = [Place.of(row.source) for row in read_source(source, folder) if isinstance(row, Problem)]
    assert [(place.file, place.line) for place in places] == [("a.jsonl", n) for n in (1, 2, 3)] + [("more/b.jsonl", 1)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"licence": None}, RecipeError, r"sources\.toml: source\.0\.licence: Field required"),
        ({"licence": "Foo-1"}, RecipeError, "licence: Unknown license: 'foo-1'; give an SPDX expression"),
        ({"origin": None}, RecipeError, r"source\.0\.origin: Field required"),
        ({"origin": ""}, RecipeError, r"source\.0\.origin"),
        ({"name": "My maths"}, RecipeError, r"source\.0\.name"),
        ({"name": "math"}, RecipeError, "two sources are called math; rename one"),
        ({"side": "both"}, RecipeError, r"source\.0\.side: Input should be 'train', 'heldout' or 'split'"),
        ({"mapping": "gsm9k"}, UnknownNameError, "unknown mapping 'gsm9k'"),
        ({"path": "gone.jsonl"}, SourceError, r"source mine: .*gone\.jsonl does not exist"),
        ({"path": "."}, RecipeError, r'is a folder; say which files, e\.g\. files = \["\*\.jsonl"\]'),
        ({"path": ".", "files": ["*.csv"]}, SourceError, r"source mine: '\*\.csv' finds nothing"),
        ({"files": ["*.csv"]}, RecipeError, "is a file; leave out files"),
        ({"path": None}, RecipeError, "mine needs path, or hub with revision and files"),
        ({"revision": COMMIT}, RecipeError, "mine has a revision and no hub"),
        ({"hub": "a/b"}, RecipeError, "mine needs path, or hub"),
        ({"path": None, "hub": "a/b", "files": ["x.csv"]}, RecipeError, "revision None, which can move; pin a commit"),
        ({"path": None, "hub": "a/b", "revision": "main", "files": ["x"]}, RecipeError, "revision 'main', which can"),
        ({"path": None, "hub": "a/b", "revision": COMMIT}, RecipeError, "must name every file of a/b"),
        ({"path": None, "hub": "a/b", "revision": COMMIT, "files": ["*"]}, RecipeError, "without wildcards"),
        (
            {"builtin": ALL[:4]},
            RecipeError,
            "no source has 'general' rows, which the graph needs; add 'general' to builtin",
        ),
    ],
)
def test_what_is_missing_or_means_nothing_is_refused(
    folder: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        declare(folder, **changes)  # type: ignore[arg-type]


def test_two_sources_of_one_name_and_a_file_that_is_no_toml_are_refused(folder: Path) -> None:
    declare(folder)
    path = folder / "sources.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n" + text.partition("\n")[2], encoding="utf-8")
    with pytest.raises(RecipeError, match="two sources are called mine"):
        read_sources(path)
    path.write_text("builtin = [\n'math'\nnope", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"sources\.toml is not TOML: .*line 3"):
        read_sources(path)
    with pytest.raises(RecipeError, match=r"cannot be read.*check --sources"):
        read_sources(folder / "none.toml")


def test_rows_that_do_not_fit_are_set_aside_with_file_line_and_reason(folder: Path) -> None:
    lines = (folder / "a.jsonl").read_text(encoding="utf-8").splitlines()
    lines[1:2] = ["{broken", '{"question": "no mark?", "answer": "5"}']
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    dropped = [row for row in read_source(declare(folder).recipes[0], folder) if isinstance(row, DroppedRow)]
    assert [(row.where, row.reason) for row in dropped] == [
        ("mine/a.jsonl:2", "unreadable"),
        ("mine/a.jsonl:3", "unmapped"),
    ]
    assert dropped[1].detail == "'####' does not occur (columns: question, answer)"


def test_a_file_of_which_no_row_fits_is_refused_with_the_first(folder: Path) -> None:
    source = declare(folder, mapping="math").recipes[0]
    with pytest.raises(
        SourceError, match=r"no row of source mine fits: .*a\.jsonl:1: 'problem' is undefined \(columns"
    ):
        list(read_source(source, folder))
    (folder / "a.jsonl").write_bytes(b"")
    with pytest.raises(SourceError, match=r"a\.jsonl has no rows; leave it out"):
        list(read_source(declare(folder).recipes[0], folder))


def test_a_file_that_changed_after_it_was_looked_at_is_refused(folder: Path) -> None:
    source = declare(folder).recipes[0]
    (folder / "a.jsonl").write_text('{"question": "new?", "answer": "#### 1"}', encoding="utf-8")
    with pytest.raises(SourceError, match="source mine changed after it was hashed; run again"):
        list(read_source(source, folder))


HUB = """
import sys
from pathlib import Path
from r1_pipeline.data.ingest.declared import read_sources
from r1_pipeline.errors import SourceError
try:
    declared = read_sources(Path(sys.argv[1]))
    print(declared.recipes[0].files[0].name, declared.folders["mine"])
except SourceError as error:
    print(error)
"""


def test_a_pinned_data_set_of_the_hub_comes_from_the_cache_and_else_says_what_to_do(folder: Path) -> None:
    hub = {"path": None, "hub": "openai/gsm8k", "revision": COMMIT, "files": ["main/train.jsonl"]}
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}

    def said() -> str:
        command = [sys.executable, "-c", HUB, str(folder / "sources.toml")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    with pytest.raises((SourceError, RecipeError)):
        declare(folder, **{**hub, "revision": "main"})  # type: ignore[arg-type]
    (folder / "sources.toml").write_text(
        (folder / "sources.toml").read_text(encoding="utf-8").replace('"main"', f'"{COMMIT}"'), encoding="utf-8"
    )
    assert said().startswith(f"source mine: main/train.jsonl of openai/gsm8k@{COMMIT[:12]} is not in the cache")
    snapshot = folder / "hf/hub/datasets--openai--gsm8k/snapshots" / COMMIT
    (snapshot / "main").mkdir(parents=True)
    (snapshot / "main/train.jsonl").write_bytes((folder / "a.jsonl").read_bytes())
    assert said() == f"main/train.jsonl {snapshot}"
