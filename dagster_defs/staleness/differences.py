"""Says in words why an artifact is stale: each value that differs between what it was made from and what it would be.

    file problems.jsonl of mine 3f9a0c11d2e4 → 77b0e1c5a901      recipe.grpo.steps 96 → 120
    version of curate 9 → 10      verifier.math maths@5 → maths@6      input base 9843f99af349 → 12ab34cd56ef

Files and fields of recipes come first, because they are what a person has changed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

RECIPE, INPUTS, USES = "recipe", "inputs", "uses"
HASH = 64
"""Hex digits of a sha256."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns a line for each value that differs between two payloads of a fingerprint."""
    old, new = (dict(_leaves(payload, ())) for payload in (before, after))
    paths = [path for path in dict.fromkeys([*new, *old]) if old.get(path) != new.get(path)]
    stage = str(after.get("stage"))
    return tuple(
        f"{_words(path, stage)} {_short(old.get(path))} → {_short(new.get(path))}" for path in sorted(paths, key=_order)
    )


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields path and value of every scalar; records in a list are told apart by their names, where they have any."""
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        named = all(isinstance(each, Mapping) and "name" in each for each in value)
        if named:
            value = {str(each["name"]): {k: v for k, v in each.items() if k != "name"} for each in value}
        else:
            value = dict(enumerate(value))
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    else:
        yield path, value


def _is_file(path: tuple[str, ...]) -> bool:
    return len(path) > 3 and path[-3] == "files"


def _order(path: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    kinds = (_is_file(path), path[0] == RECIPE, path[0] not in (USES, INPUTS), path[0] == USES, True)
    return kinds.index(True), path


def _words(path: tuple[str, ...], stage: str) -> str:
    if _is_file(path):
        return f"file {path[-2]} of {path[-4]}"
    if path == ("version",):
        return f"version of {stage}"
    if path[0] == INPUTS:
        return f"input {'.'.join(path[1:])}"
    return ".".join(path[1:] if path[0] == USES else path)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    return text[:12] if len(text) == HASH and text.isalnum() else text
