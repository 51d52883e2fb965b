"""Laws of the reasons in `r1 status`: what a person changed is named first, by file or field, with both values."""

from dagster_defs.cli.status import LONGEST, _reason
from dagster_defs.staleness.differences import differences


def payload(steps: int, sha256: str, base: str, verifier: str, version: int) -> dict[str, object]:
    files = [{"name": "b.jsonl", "sha256": "b" * 64}, {"name": "a/rows.jsonl", "sha256": sha256}]
    recipe = {"steps": steps, "sources": [{"name": "mine", "files": files, "side": "training"}], "sums": [1, 2]}
    return {
        "stage": "curate",
        "version": version,
        "recipe": recipe,
        "inputs": {"base": base},
        "uses": {"verifier.math": verifier},
    }


BEFORE = payload(96, "3f" * 32, "98" * 32, "maths@5", 9)


def test_the_same_has_no_difference() -> None:
    assert differences(BEFORE, payload(96, "3f" * 32, "98" * 32, "maths@5", 9)) == ()


def test_files_come_first_then_fields_versions_verifiers_and_inputs() -> None:
    assert differences(BEFORE, payload(120, "77" * 32, "12" * 32, "maths@6", 10)) == (
        "file a/rows.jsonl of mine 3f3f3f3f3f3f → 777777777777",
        "recipe.steps 96 → 120",
        "version of curate 9 → 10",
        "verifier.math maths@5 → maths@6",
        "input base 989898989898 → 121212121212",
    )


def test_a_file_more_or_less_is_named_and_other_files_are_not() -> None:
    """Files are told apart by their names, so that one that is added in front changes no other."""
    more = payload(96, "3f" * 32, "98" * 32, "maths@5", 9)
    more["recipe"]["sources"][0]["files"].insert(0, {"name": "0.jsonl", "sha256": "00" * 32})  # type: ignore[index]
    assert differences(BEFORE, more) == ("file 0.jsonl of mine nothing → 000000000000",)


def test_a_list_of_numbers_is_one_value() -> None:
    other = payload(96, "3f" * 32, "98" * 32, "maths@5", 9)
    other["recipe"]["sums"] = [1, 3]  # type: ignore[index]
    assert differences(BEFORE, other) == ("recipe.sums [1, 2] → [1, 3]",)


def test_the_table_shows_one_reason_and_counts_the_others() -> None:
    assert _reason(()) == ""
    assert _reason(("recipe.steps 96 → 120",)) == "recipe.steps 96 → 120"
    assert _reason(("recipe.steps 96 → 120", "b", "c")) == "recipe.steps 96 → 120 (and 2 more)"
    assert len(_reason(("x" * 200,))) == LONGEST
