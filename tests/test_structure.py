"""Laws of the house that no import contract states: no circles, one adapter for what Dagster does not publish."""

import ast
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
ADAPTER = "dagster_defs/dagster_private.py"


@pytest.mark.parametrize("package", ["r1_pipeline", "dagster_defs"])
def test_no_module_imports_itself_in_however_many_steps(package: str) -> None:
    graph = grimp.build_graph(package, exclude_type_checking_imports=False)
    inside = {module for module in graph.modules if not graph.find_children(module)}
    circles = {
        module
        for module in inside
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in inside - {module} and graph.chain_exists(importer=imported, imported=module)
    }
    assert circles == set()


def test_only_the_adapter_takes_what_dagster_does_not_publish() -> None:
    takers = set()
    for file in (ROOT / "dagster_defs").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.startswith("dagster._") for name in names):
                takers.add(file.relative_to(ROOT).as_posix())
    assert takers == {ADAPTER}
