"""Laws of identity: one JSON text per value, and nothing that cannot be represented slips through."""

from pathlib import Path

import pytest

from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Recipe, canonical_json, fingerprint


class Inner(Recipe):
    b: int
    a: float


def test_canonical_json_is_sorted_and_compact() -> None:
    assert (
        canonical_json({"z": Inner(b=1, a=0.1), "a": ("é", None, True)})
        == r'{"a":["\u00e9",null,true],"z":{"a":0.1,"b":1}}'
    )


def test_fingerprint_is_the_sha256_of_that_text() -> None:
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("x"), {1: 2}, object(), b"x", {1, 2}, len])
def test_what_has_no_canonical_form_raises(value: object) -> None:
    with pytest.raises(RecipeError):
        canonical_json({"v": value})


def test_unknown_recipe_fields_raise() -> None:
    with pytest.raises(ValueError, match="extra"):
        Inner.model_validate({"a": 1.0, "b": 1, "c": 2})
