"""Laws of what has to be installed: every package that is imported comes with the core or with the extra `r1` names."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from r1_pipeline.cli import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BROUGHT_BY = {
    "dagster_pipes": "dagster",
    "latex2sympy2_extended": "math-verify",
    "markupsafe": "jinja2",
    "mpmath": "math-verify",
    "openlineage": "openlineage-python",
    "pydantic_core": "pydantic",
    "safetensors": "transformers",
    "sqlalchemy": "dagster",
    "starlette": "dagster-webserver",
    "sympy": "math-verify",
    "uvicorn": "dagster-webserver",
}
"""Import -> the package of pyproject.toml that brings it, where that has another name."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> set[str]:
    return {normal(Requirement(requirement).name) for requirement in requirements}


def imports() -> Iterator[tuple[str, str]]:
    """Yields (package, file) of every import of another distribution, with those for type checkers."""
    for file in sorted([*(ROOT / "r1_pipeline").rglob("*.py"), *(ROOT / "dagster_defs").rglob("*.py")]):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                package = name.partition(".")[0]
                if package not in sys.stdlib_module_names and package not in ("r1_pipeline", "dagster_defs"):
                    yield package, file.relative_to(ROOT).as_posix()


def distribution(package: str) -> str:
    return normal(BROUGHT_BY.get(package, package))


def test_every_import_comes_with_the_core_or_with_the_extra_that_r1_names() -> None:
    core, optional = named(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    unknown = {
        (package, file)
        for package, file in imports()
        if distribution(package) not in (named(optional[EXTRAS[package]]) if package in EXTRAS else core)
    }
    assert unknown == set()


def test_the_core_asks_for_nothing_that_it_does_not_import() -> None:
    assert named(PROJECT["dependencies"]) - {distribution(package) for package, _ in imports()} == set()


def test_all_holds_every_extra_that_users_may_want_but_the_other_build_of_vllm() -> None:
    optional = PROJECT["optional-dependencies"]
    [everything] = [Requirement(requirement) for requirement in optional["all"]]
    assert everything.extras == set(optional) - {"all", "bench", "dev", "docs", "vllm-cpu"}
