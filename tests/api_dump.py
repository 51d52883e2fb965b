"""Writes the public API as plain text: names, fields and signatures as their source states them.

Run as a script it writes the golden file: `python tests/api_dump.py`. Do so only for a change that CONTRIBUTING.md
allows and CHANGELOG.md names.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import r1_pipeline
from r1_pipeline.runtime.build_context import Verb

GOLDEN = Path(__file__).parent / "golden" / "api.txt"
HEADER = "The public API, `r1_pipeline.__all__`. Written by tests/api_dump.py; CONTRIBUTING.md says what may change.\n"

Definition = ast.ClassDef | ast.FunctionDef | ast.AnnAssign | ast.Assign


@cache
def tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def definition(name: str) -> tuple[Definition, list[ast.stmt]]:
    """The statement that defines a public name, and the statements of its module from there on."""
    value = getattr(r1_pipeline, name)
    value = value.function if isinstance(value, Verb) else value
    own = getattr(value, "__module__", None) if inspect.isclass(value) or inspect.isfunction(value) else None
    module = inspect.getmodule(value) if own else sys.modules[r1_pipeline._modules()[name]]
    assert module is not None
    body = tree(module).body
    for place, statement in enumerate(body):
        if isinstance(statement, Definition) and name in names(statement):
            return statement, body[place:]
    raise LookupError(f"{name} is not defined in {module.__name__}")


def names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def is_public(statement: ast.stmt) -> bool:
    """True for what users name; Pydantic's hooks (`model_config`, `model_post_init`) are none of it."""
    called = ("__init__", "__enter__", "__call__")
    return any(name in called or not name.startswith(("_", "model_")) for name in names(statement))


def signature(function: ast.FunctionDef, word: str) -> str:
    result = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    if word == "verb":  # what is written states a build, what is called makes it
        result = re.sub(r"Build\[(.*)]", r"\1", result)
    return f"{word} {function.name}({ast.unparse(function.args)}){result}"


def member(statement: ast.stmt) -> str | None:
    """A field, method or property of a class in one line; None for what is no part of the contract."""
    if not is_public(statement):
        return None
    if isinstance(statement, ast.FunctionDef):
        marks = [ast.unparse(each) for each in statement.decorator_list]
        if {"property", "cached_property"} & set(marks):
            return f"property {statement.name} -> {ast.unparse(statement.returns) if statement.returns else 'Any'}"
        return signature(statement, "classmethod" if "classmethod" in marks else "def")
    return ast.unparse(statement) if isinstance(statement, ast.AnnAssign | ast.Assign) else None


def described(name: str) -> Iterator[str]:
    """The lines of one public name."""
    value: Any = getattr(r1_pipeline, name)
    found, _ = definition(name)
    if isinstance(found, ast.FunctionDef):
        yield signature(found, "verb" if isinstance(value, Verb) else "def")
    elif isinstance(found, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in found.bases)
        yield f"class {name}({bases})" if bases else f"class {name}"
        yield from (f"    {line}" for line in map(member, found.body) if line)
    else:
        yield f"{name}: {type(value).__name__}"


def dump() -> str:
    """The whole API, in alphabetical order."""
    return HEADER + "".join("\n" + "\n".join(described(name)) + "\n" for name in r1_pipeline.__all__)


if __name__ == "__main__":
    GOLDEN.write_text(dump(), encoding="utf-8")
