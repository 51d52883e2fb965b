"""Overrides: fields of a profile's recipes that a user sets without a change of the package.

    r1 run --set r1_zero.grpo.learning_rate=3e-4      `R1_SET`, one assignment a line, says the same
    with_overrides(profile, {"r1_zero.grpo.learning_rate": 3e-4})      in a recipe file

A path is a node of the profile, a dot, and the path of a field. `distilled/qwen.epochs` sets one partition and
`distilled.epochs` all of them. Recipes check the values, and a changed recipe is another fingerprint, so an override
makes other artifacts like any edit of the profile would. The profile keeps what was overridden (`Profile.overrides`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from r1_pipeline.errors import R1Error, RecipeError, UnknownNameError
from r1_pipeline.graph.bound import NodeRecipe, changed_fields, fields_of
from r1_pipeline.graph.node import Derived
from r1_pipeline.profiles.profile import Override, Profile
from r1_pipeline.recipe import Recipe, canonical_json


def parsed(assignments: Iterable[str]) -> dict[str, Any]:
    """Returns path -> value of assignments `PATH=VALUE`; a value is JSON, or a plain string if it is not.

    Raises `RecipeError` for text without a path or a value.
    """
    found = {}
    for text in assignments:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not (path and equals and value):
            raise RecipeError(f"--set {text} sets nothing; write NODE.FIELD=VALUE, such as r1_zero.grpo.steps=10")
        try:
            found[path] = json.loads(value)
        except ValueError:
            found[path] = value
    return found


def with_overrides(profile: Profile, values: Mapping[str, Any]) -> Profile:
    """Returns `profile` with the fields at these paths set, and with the changes noted in `overrides`.

    Fields of one recipe are set together. Raises `UnknownNameError` for an unknown node, and `RecipeError` for an
    unknown field or a value that the recipe refuses; both suggest what was probably meant.
    """
    by_target: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        target = _target(profile, path)
        by_target.setdefault(target, {})[path[len(target) + 1 :]] = value
    found = {(each.node, each.field): each for each in profile.overrides}
    for target, fields in by_target.items():
        node, _, partition = target.partition("/")
        before = profile.recipes[node]
        after = _changed(before, partition, fields, target)
        for field in fields:
            old, new = (_value_at(recipe, partition, field) for recipe in (before, after))
            first = found[target, field].before if (target, field) in found else old
            found[target, field] = Override(node=target, field=field, before=first, after=new)
        profile = profile.with_recipes({node: after})
    changed = replace(profile, overrides=tuple(each for each in found.values() if each.before != each.after))
    assert changed.bound  # raises before any work if the recipes do not fit the graph any more
    return changed


def _target(profile: Profile, path: str) -> str:
    """Returns the node of the profile, perhaps with a partition, with which a path begins."""
    parts = [f"{node}/{part}" for node, own in profile.recipes.items() if isinstance(own, Mapping) for part in own]
    targets = [*profile.recipes, *parts]
    if found := [target for target in targets if path.startswith(f"{target}.")]:
        return max(found, key=len)
    for node in profile.graph:
        if node.name not in targets and path.startswith(f"{node.name}."):
            where = node.recipe.of if isinstance(node.recipe, Derived) else node.recipe
            instead = f"set {where}" if where else "it takes none"
            raise RecipeError(f"{node.name} has no recipe of its own; {instead}")
    if path in targets:
        raise RecipeError(f"{path} is a node; name a field of its recipe: {path}.FIELD=VALUE")
    raise UnknownNameError("node", path.partition(".")[0], targets)


def _changed(recipe: NodeRecipe, partition: str, fields: Mapping[str, Any], target: str) -> NodeRecipe:
    def one(of: Recipe) -> Recipe:
        changed: Recipe = changed_fields(of, fields)
        canonical_json(changed)  # refuses what has no identity, such as an infinite number
        return changed

    try:
        if isinstance(recipe, Recipe):
            return one(recipe)
        return {part: one(each) if partition in ("", part) else each for part, each in recipe.items()}
    except R1Error as error:
        raise RecipeError(f"cannot set {' or '.join(fields)} of {target}: {error}") from error


def _value_at(recipe: NodeRecipe, partition: str, field: str) -> str:
    """Returns the JSON of the value at `field`; of several partitions, each value once."""
    if not isinstance(recipe, Recipe):
        return " or ".join(
            dict.fromkeys(_value_at(each, "", field) for part, each in recipe.items() if partition in ("", part))
        )
    value: Any = recipe
    for name in field.split("."):
        value = fields_of(value)[name]
    return json.dumps(json.loads(canonical_json(value)), ensure_ascii=False)
