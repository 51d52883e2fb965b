"""Laws of the documentation's blocks: every command, program and file in it works, or says why it was not tried."""

import os
import shutil
import tomllib
from pathlib import Path

import pytest
from blocks import INCLUDED, MARK, ROOT, Block, Shell, blocks, pages

from r1_pipeline.data.ingest.mapping import load_mapping
from r1_pipeline.evaluation.benchmarks import load_benchmark
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.runtimes import with_runtime

EXAMPLES = (ROOT / "tests" / "examples" / "test_examples.py").read_text(encoding="utf-8")
RUN = ("program", "commands")
EVERYTHING = [block for page in pages() for block in blocks(page)]
TABLES = [block for block in EVERYTHING if block.kind == "file" and block.title.endswith(".toml")]


@pytest.mark.parametrize("page", pages())
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = blocks(page)
    assert all(block.kind for block in found)
    assert sum(line.startswith("```") for line in text.splitlines()) == 2 * len(found), "a fence is left open"
    marks = sum(line.startswith(("<!-- not run", "<!-- run by")) for line in text.splitlines())
    assert marks == sum(block.kind == "marked" for block in found), "a mark has no block below it"


def test_a_block_that_another_test_runs_is_named_by_that_test() -> None:
    others = [(block, found["test"]) for block in EVERYTHING if (found := MARK.fullmatch(block.mark)) and found["test"]]
    assert others
    for block, test in others:
        assert Path(block.page).name in (ROOT / test).read_text(encoding="utf-8"), f"{block.place}: {test}"


def test_an_example_is_included_from_the_file_that_its_test_runs() -> None:
    files = [found["file"] for block in EVERYTHING if (found := INCLUDED.fullmatch(block.body.strip()))]
    assert len(files) == len(set(files))
    for file in files:
        assert (ROOT / file).is_file()
        assert f'    "{Path(file).stem}": """' in EXAMPLES, f"{file} has no law in tests/examples"
    assert {file for file in files if file.endswith(".py")} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*.py")
    }


@pytest.mark.parametrize(
    ("info", "body", "kind"),
    [
        ("bash", "r1 status\n", "commands"),
        ("python", "print(1)\n", "program"),
        ('toml title="sources.toml"', "a = 1\n", "file"),
        ("text", "a picture\n", "text"),
        ("python", '{% include "../examples/engine.py" %}\n', "included"),
    ],
)
def test_a_block_has_a_kind(info: str, body: str, kind: str) -> None:
    assert Block("page.md", 1, "", info, body).kind == kind
    assert Block("page.md", 1, "not run: needs a GPU", info, body).kind == "marked"


@pytest.mark.parametrize(
    ("mark", "info", "body"),
    [
        ("", "", "r1 status\n"),
        ("", "text", "r1 status\n"),
        ("", "toml", "a = 1\n"),
        ("not run", "bash", "r1 status\n"),
        ("not run: ", "bash", "r1 status\n"),
    ],
)
def test_a_block_that_is_neither_is_refused(mark: str, info: str, body: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md:1"):
        _ = Block("page.md", 1, mark, info, body).kind


@pytest.mark.parametrize("block", TABLES, ids=[block.place for block in TABLES])
def test_a_mapping_or_runtime_is_read_by_the_project(block: Block, tmp_path: Path) -> None:
    """Reads each with the reader of the project; a page that shows a sources file runs it."""
    (tmp_path / "shown.toml").write_text(block.body, encoding="utf-8")
    table = tomllib.loads(block.body)
    if "makes" in table:
        assert load_mapping("shown.toml", tmp_path).makes == table["makes"]
    elif "licence" in table:
        assert load_benchmark(str(tmp_path / "shown.toml")).title == table["title"]
    elif "source" not in table:
        runtime = with_runtime(load_profile("smoke", 0), tmp_path / "shown.toml").runtime.model_dump()
        assert all(runtime[name] == value for name, value in table.items() if not isinstance(value, dict))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if any(block.kind in RUN for block in blocks(page))])
def test_a_page_does_what_it_says(page: str, made: Path, shell: Shell, tmp_path: Path) -> None:
    """The blocks of a page, in order, in a folder whose home holds a finished run of `smoke`."""
    shutil.copytree(made, tmp_path / ".r1")
    for number, block in enumerate(blocks(page)):
        if block.kind == "file":
            write(tmp_path / block.title, block)
        elif block.kind in RUN:
            script = tmp_path / f"block_{number}.py"
            if block.kind == "program":
                script.write_text(block.body, encoding="utf-8")
            command = f"python -W ignore {script.name}" if block.kind == "program" else block.body
            ended = shell(tmp_path, command)
            assert ended.returncode == 0, f"{block.place}\n{ended.stdout[-1000:]}\n{ended.stderr[-3000:]}"


def write(path: Path, block: Block) -> None:
    """Writes the file that a block is, as one that was written a while ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.body, encoding="utf-8")
    os.utime(path, (path.stat().st_mtime - 60,) * 2)
