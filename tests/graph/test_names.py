"""The law of one page: no module except the graph and the profiles knows a node by its name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import dagster_defs
import r1_pipeline
from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1

MAY_NAME = ("r1_pipeline/graph", "r1_pipeline/profiles")
OTHER_MEANINGS = {
    "base": "a parameter of verbs, and so an edge",
    "preference_scores": "a kind of artifact",
    "r1": "the package, in the cards of data sets and models",
    "report": "a folder of the home, and the tag of what no verb makes",
}
"""Words that are also names of nodes -> their meaning in modules."""
TAGS = "r1/"
"""Prefix of metadata and tags in Dagster; no artifact has it, because `r1` has no partitions."""


def constants(file: Path) -> Iterator[tuple[int, str]]:
    """Yields (line, text) of every string of a module except docstrings, with the pieces of f-strings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    said = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for statement in node.body[:1]
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


def modules() -> Iterator[tuple[str, Path]]:
    for package in (r1_pipeline, dagster_defs):
        [root] = package.__path__
        for file in sorted(Path(root).rglob("*.py")):
            yield file.relative_to(Path(root).parent).as_posix(), file


def names_a_node(text: str) -> bool:
    """Returns True if a string is the name of a node, or begins like the name of an artifact."""
    folders = {part for name in DEEPSEEK_R1.nodes for part in (name, name.partition("/")[0])}
    return text in DEEPSEEK_R1.nodes or (text.partition("/")[0] in folders and "/" in text)


def test_no_module_names_a_node() -> None:
    found = [
        f"{module}:{line} {text!r}"
        for module, file in modules()
        if not module.startswith(MAY_NAME)
        for line, text in constants(file)
        if names_a_node(text) and text not in OTHER_MEANINGS and not text.startswith(TAGS)
    ]
    assert found == []


def test_the_words_with_other_meanings_are_still_used() -> None:
    used = {text for module, file in modules() if not module.startswith(MAY_NAME) for _, text in constants(file)}
    assert set(OTHER_MEANINGS) <= used


def test_the_law_sees_names_prefixes_and_pieces_of_f_strings(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""dev1"""\nfirst = "dev1"\nsecond = f"evaluation/{first}"\nthird = "distilled/qwen"\n', "utf-8")
    assert sorted((line, text) for line, text in constants(file) if names_a_node(text)) == [
        (2, "dev1"),
        (3, "evaluation/"),
        (4, "distilled/qwen"),
    ]
    assert not names_a_node("answers") and not names_a_node("evaluation")
