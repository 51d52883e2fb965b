"""This module renders the values of a mapping, Jinja templates over the columns of a row, in a sandbox.

It adds filters to Jinja's own: `after(mark)`, the text behind the last `mark`; `boxed`, the content of the last
`\\boxed{}`; `match(pattern)`, the first group of a regular expression; `choices`, options as lines `A. …`;
`shuffled(key)`, options in an order that a hash of key and option decides. A column that is missing, null, NaN, a list,
a duration or bytes that are not text, a filter that finds nothing, and a field that renders to an empty text are faults
of the row.
Not covered: the fields of a mapping (`mapping`).
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from functools import cache, partial
from typing import Annotated, Any
from uuid import UUID

from jinja2 import StrictUndefined, TemplateError, Undefined, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator

LETTERS = "ABCDEFGHIJ"
_COLUMN = re.compile(r"\{\{ *(?!(?:[Tt]rue|[Ff]alse|[Nn]one) *\})([A-Za-z_][A-Za-z0-9_]*) *\}\}")


class RowError(Exception):
    """A fault of a row: the reason why it does not fit its mapping."""


def _plain(value: Any) -> Any:
    """Returns the value in a form that a template may print: text, dates and finite numbers, integral ones without a
    decimal point.

    Raises `RowError` for anything else.
    """
    if value is None:
        raise RowError("a column is null")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowError(f"a number is {value}")
        return int(value) if value.is_integer() else value
    if isinstance(value, list | dict):
        raise RowError("a column is a list or a record; pick from it or join it")
    if isinstance(value, bytes):
        raise RowError("a column is bytes that are not UTF-8")
    if not isinstance(value, str | int | Decimal | date | time | UUID | Undefined):
        raise RowError(f"a column is a {type(value).__name__}, which has no one form as text; convert it")
    return value


def _after(text: str, mark: str) -> str:
    _, found, tail = text.rpartition(mark)
    if not found:
        raise RowError(f"{mark!r} does not occur")
    return tail.strip()


def _match(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RowError(f"nothing matches {pattern!r}")
    return found[1]


def _boxed(text: str) -> str:
    opening = text.rfind("\\boxed{")
    if opening < 0:
        raise RowError("no \\boxed{}")
    start, depth = opening + len("\\boxed{"), 1
    for end in range(start, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if not depth:
            return text[start:end]
    raise RowError("\\boxed{ is not closed")


def _choices(options: Iterable[Any] | Mapping[str, Any]) -> str:
    pairs = options.items() if isinstance(options, Mapping) else zip(LETTERS, options, strict=False)
    return "\n".join(f"{letter}. {_plain(option)}" for letter, option in pairs)


def _shuffled(options: Iterable[Any], key: object) -> list[Any]:
    return sorted(options, key=lambda option: hashlib.sha256(f"{key}\x1f{_plain(option)}".encode()).digest())


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_plain, keep_trailing_newline=True)
    environment.filters |= {"after": _after, "match": _match, "boxed": _boxed, "choices": _choices}
    environment.filters["shuffled"] = _shuffled
    environment.globals["zip"] = lambda *lists: list(zip(*lists, strict=True))
    return environment


def columns_named(template: str) -> set[str]:
    """Returns the names of the columns that a template uses."""
    return meta.find_undeclared_variables(_environment().parse(template)) - {"row"}


def _compiles(source: str) -> str:
    try:
        _template(source)
    except TemplateError as error:
        raise ValueError(f"{source!r} is not a template: {error}") from error
    return source


def _evaluates(source: str) -> str:
    try:
        expression_of(source)
    except TemplateError as error:
        raise ValueError(f"{source!r} is not an expression: {error}") from error
    return source


@cache
def _template(source: str) -> Callable[..., str]:
    if "{" not in source:
        return lambda _: source
    if (column := _COLUMN.fullmatch(source)) and column[1] not in _environment().globals:
        return partial(_one, column[1])
    return _environment().from_string(source).render


def _one(name: str, columns: Mapping[str, Any]) -> str:
    """Renders the commonest template, `{{ name }}`, ten times as fast as Jinja."""
    if name not in columns:
        raise RowError(f"{name!r} is undefined")
    return str(_plain(columns[name]))


@cache
def expression_of(source: str) -> Callable[..., Any]:
    """Returns the compiled expression `source`, a function of the columns."""
    return _environment().compile_expression(source, undefined_to_none=False)


Template = Annotated[str, AfterValidator(_compiles)]
"""Text with Jinja expressions such as `{{ column }}`."""
Expression = Annotated[str, AfterValidator(_evaluates)]
"""A Jinja expression, without `{{ }}`."""


def evaluate(fill: Callable[..., Any], columns: Mapping[str, Any]) -> Any:
    """Returns `fill(columns)`; raises `RowError` for any error in it."""
    try:
        return fill(columns)
    except (TemplateError, TypeError, ValueError, LookupError, AttributeError, re.error) as error:
        raise RowError(str(error)) from error


def render_text(source: str, columns: Mapping[str, Any]) -> str:
    """Renders the template `source`; raises `RowError` if that fails or the result is not valid Unicode."""
    text = str(evaluate(_template(source), columns))
    if not text.isascii() and (lone := re.search("[\ud800-\udfff]", text)):
        raise RowError(f"half a character, \\u{ord(lone[0]):x}")
    return text


def render_stripped(name: str, source: str, columns: Mapping[str, Any]) -> str:
    """Renders the template `source` of the field `name` and strips it; raises `RowError` if the result is empty."""
    text = render_text(source, columns).strip()
    if not text:
        raise RowError(f"the {name} is empty")
    return text
