"""Laws of the public API: what `r1_pipeline` offers, that it costs nothing until it is used, and what its texts say."""

import ast
import builtins
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import api_dump
import pytest

import r1_pipeline
from r1_pipeline import errors
from r1_pipeline.runtime.build_context import Verb

ROOT = Path(__file__).parents[1]
HEAVY = (
    "accelerate",
    "dagster",
    "datasets",
    "matplotlib",
    "mlflow",
    "peft",
    "ray",
    "torch",
    "transformers",
    "trl",
    "vllm",
)
NUMBER = re.compile(r"\b(int|float)\b")
UNIT = re.compile(
    r"\b(number of|identifier|tokens?|rows?|sequences|requests|turns|pairs|seconds|bits|nats|share|scores?|accuracy"
    r"|seed|weights?|temperature|mass|error|words)\b|\b(from|is) [01]\b|in [(\[]0, 1[)\]]",
    re.IGNORECASE,
)
"""Words that say what a number counts or measures, and in which unit or range."""
FIRST = re.compile(r"[A-Z`].*\.\s*$", re.DOTALL)
"""A first paragraph: it begins with a capital letter or a name, and ends with a full stop."""

functions = [name for name in r1_pipeline.__all__ if isinstance(api_dump.definition(name)[0], ast.FunctionDef)]
classes = [name for name in r1_pipeline.__all__ if isinstance(api_dump.definition(name)[0], ast.ClassDef)]
constants = sorted(set(r1_pipeline.__all__) - {*functions, *classes})


def function(name: str) -> tuple[ast.FunctionDef, str]:
    found, _ = api_dump.definition(name)
    assert isinstance(found, ast.FunctionDef)
    return found, ast.get_docstring(found) or ""


def body(name: str) -> list[ast.stmt]:
    found, _ = api_dump.definition(name)
    assert isinstance(found, ast.ClassDef)
    return [found, *found.body]


def undescribed(statements: list[ast.stmt]) -> Iterator[str]:
    """Names of the public fields that no text follows."""
    for statement, after in zip(statements, [*statements[1:], None], strict=True):
        told = (
            isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
        )
        if isinstance(statement, ast.AnnAssign | ast.Assign) and api_dump.is_public(statement) and not told:
            yield from api_dump.names(statement)


def test_names_and_signatures_are_those_of_the_golden_file() -> None:
    assert api_dump.dump() == api_dump.GOLDEN.read_text(encoding="utf-8")


def test_the_contract_is_what_type_checkers_see() -> None:
    """A name of `__all__` is imported for type checkers, from the module that it is loaded from."""
    imported = {name for name, module in r1_pipeline._modules().items() if module.startswith("r1_pipeline.")}
    assert sorted(imported) == sorted(r1_pipeline.__all__)
    assert set(r1_pipeline.__all__) <= set(dir(r1_pipeline))
    assert (Path(inspect.getfile(r1_pipeline)).parent / "py.typed").is_file()


def test_every_verb_is_public() -> None:
    from r1_pipeline.verbs import VERSIONS

    assert {name for name in functions if isinstance(getattr(r1_pipeline, name), Verb)} == set(VERSIONS)


def test_no_name_loads_what_only_training_needs() -> None:
    """`import r1_pipeline` loads nothing of ours; all its names together load no package of an extra."""
    said = (
        "import sys, r1_pipeline as r1\n"
        "print(sorted(m for m in sys.modules if m.startswith('r1_pipeline.')))\n"
        "for name in r1.__all__: getattr(r1, name)\n"
        f"print(sorted(m for m in {HEAVY} if m in sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.splitlines() == ["[]", "[]"]


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'reinforcee'"):
        _ = r1_pipeline.reinforcee


def test_rows_are_graded_as_by_the_command() -> None:
    """The sum 2 + 2 is 4: the rows are a right answer, a wrong one, and an incomplete row."""
    rows = [{"id": n, "domain": "math", "answer": f"\\boxed{{{n}}}", "reference": "4"} for n in (4, 5)]
    right, wrong, bad = r1_pipeline.grade_rows([*rows, {"id": 6}])
    assert isinstance(right, r1_pipeline.Graded)
    assert isinstance(wrong, r1_pipeline.Graded)
    assert isinstance(bad, r1_pipeline.BadLine)
    assert (right.outcome, wrong.outcome, bad.number) == ("correct", "wrong", 3)


@pytest.mark.parametrize("name", functions)
def test_a_function_says_what_it_takes_and_raises(name: str) -> None:
    """Every argument but the build context and the recipe of a verb is named; so is every error, which has to exist."""
    found, text = function(name)
    assert FIRST.match(text.partition("\n\n")[0]), text
    is_verb = isinstance(getattr(r1_pipeline, name), Verb)
    arguments = {each.arg for each in (*found.args.args, *found.args.kwonlyargs)} - (
        {"context", "recipe"} if is_verb else set()
    )
    assert {each for each in arguments if f"`{each}" not in text} == set()
    raises = re.search(r"Raises (.+)", text, re.DOTALL)
    assert raises, f"{name} does not say what it raises"
    named = re.findall(r"`(\w+Error)`", raises[1])
    assert named
    assert {each for each in named if not hasattr(errors, each) and not hasattr(builtins, each)} == set()


@pytest.mark.parametrize("name", [name for name in functions if isinstance(getattr(r1_pipeline, name), Verb)])
def test_a_verb_names_its_source_in_the_paper(name: str) -> None:
    assert re.search(r"\(paper, sections? [0-9A-F]", function(name)[1])


@pytest.mark.parametrize("name", classes)
def test_a_class_says_what_it_is_and_what_its_numbers_count(name: str) -> None:
    definition, *members = body(name)
    assert isinstance(definition, ast.ClassDef)
    assert FIRST.match((ast.get_docstring(definition) or "").partition("\n\n")[0])
    methods = [each for each in members if isinstance(each, ast.FunctionDef) and api_dump.is_public(each)]
    methods = [each for each in methods if not each.name.startswith("_")]
    assert {each.name for each in methods if not FIRST.match(ast.get_docstring(each) or "")} == set()
    numbers = {
        each.target.id
        for each in members
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and NUMBER.search(ast.unparse(each.annotation))
    }
    assert numbers & set(undescribed(members)) == set()


@pytest.mark.parametrize("name", constants)
def test_a_constant_is_described(name: str) -> None:
    _, after = api_dump.definition(name)
    assert name not in set(undescribed(after[:2]))


def numbers_described() -> Iterator[tuple[str, str]]:
    """Yields the public number fields and number properties of the public classes, each with its description."""
    for name in classes:
        members = body(name)[1:]
        for member, after in zip(members, [*members[1:], None], strict=True):
            if not api_dump.is_public(member):
                continue
            if isinstance(member, ast.AnnAssign) and NUMBER.search(ast.unparse(member.annotation)):
                assert isinstance(after, ast.Expr)
                assert isinstance(after.value, ast.Constant)
                yield f"{name}.{ast.unparse(member.target)}", str(after.value.value)
            if isinstance(member, ast.FunctionDef) and member.returns and NUMBER.search(ast.unparse(member.returns)):
                yield f"{name}.{member.name}", ast.get_docstring(member) or ""


def test_a_number_says_what_it_counts_and_in_which_unit() -> None:
    described = dict(numbers_described())
    assert {"Completion.logprobs", "Corpus.tokens_by_domain", "Sampling.top_p"} <= described.keys()
    assert [f"{name}: {text}" for name, text in described.items() if not UNIT.search(text)] == []
