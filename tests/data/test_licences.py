"""SPDX expressions permit what they say, and cards name them in their own formats."""

import pytest

from r1_pipeline.data.licences import PERMISSIVE, allowed, hub_name, slug, spdx_pages

ALLOWED = [
    ("MIT", True),
    ("GPL-3.0-only", False),
    ("MIT OR GPL-3.0-only", True),
    ("GPL-3.0-only OR MIT", True),
    ("MIT AND GPL-3.0-only", False),
    ("MIT AND Apache-2.0", True),
    ("GPL-3.0-only OR MIT AND Apache-2.0", True),  # AND binds closer
    ("MIT OR GPL-2.0-only AND GPL-3.0-only", True),
    ("(MIT OR GPL-2.0-only) AND GPL-3.0-only", False),
    ("(MIT OR GPL-2.0-only) AND (GPL-3.0-only OR (ISC))", True),
    ("Apache-2.0+", True),
    ("Apache-2.0 WITH LLVM-exception", False),  # another licence than Apache-2.0
    ("Apache-2.0 WITH LLVM-exception OR MIT", True),
    ("LicenseRef-Mine", False),
    ("MIT AND LicenseRef-Mine", False),
]


@pytest.mark.parametrize(("expression", "expected"), ALLOWED)
def test_an_expression_is_allowed_where_what_is_permitted_suffices_for_it(expression: str, expected: bool) -> None:
    assert allowed(expression, PERMISSIVE) is expected


def test_a_profile_may_permit_terms_of_its_own_and_whole_expressions() -> None:
    assert allowed("LicenseRef-Mine", ("LicenseRef-Mine",))
    assert allowed("MIT AND LicenseRef-Mine", ("LicenseRef-Mine", "MIT"))
    assert allowed("Apache-2.0 WITH LLVM-exception", ("Apache-2.0 WITH LLVM-exception",))
    assert allowed("MIT AND GPL-2.0-only", ("MIT AND GPL-2.0-only",))
    assert not allowed("MIT", ())


def test_listed_licences_have_a_page_each() -> None:
    assert spdx_pages("MIT") == ["https://spdx.org/licenses/MIT"]
    assert spdx_pages("(Apache-2.0+ OR MIT) AND LicenseRef-Mine") == [
        "https://spdx.org/licenses/Apache-2.0",
        "https://spdx.org/licenses/MIT",
    ]
    assert spdx_pages("Apache-2.0 WITH LLVM-exception") == ["https://spdx.org/licenses/Apache-2.0"]
    assert spdx_pages("LicenseRef-Mine") == []


def test_cards_have_names_of_their_own_for_some_licences_and_none_for_others() -> None:
    names = {
        "MIT": "mit", "CC0-1.0": "cc0-1.0", "ODC-By-1.0": "odc-by", "PDDL-1.0": "pddl", "ODbL-1.0": "odbl",
        "GPL-3.0-only": "gpl-3.0", "AGPL-3.0-or-later": "agpl-3.0", "MIT OR Apache-2.0": "other",
        "LicenseRef-Mine": "other", "CC-BY-SA-2.0": "other", "0BSD": "other",
    }  # fmt: skip
    assert {expression: hub_name(expression) for expression in names} == names
    assert {hub_name(licence) for licence in PERMISSIVE} == {
        "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-3.0", "cc-by-4.0", "cc0-1.0", "isc", "mit", "odc-by",
        "pddl", "unlicense",
    }  # fmt: skip


def test_an_expression_becomes_one_word() -> None:
    assert slug("(MIT OR Apache-2.0) AND LicenseRef-Mine") == "mit-or-apache-2.0-and-licenseref-mine"
