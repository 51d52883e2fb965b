"""This module checks licences, which are SPDX expressions, against those a profile permits, and names them for cards.

    MIT                  an identifier of the SPDX list
    MIT OR Apache-2.0    an expression: one of those that OR joins must be permitted, all of those that AND joins
    LicenseRef-NAME      terms that are on no list; a licence WITH an exception is a licence of its own

Expressions arrive in canonical form (`data.ingest.declared`). Not covered: the obligations of a licence.
"""

import re
from collections.abc import Collection, Iterator

PERMISSIVE = (
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "ODC-By-1.0",
    "PDDL-1.0",
    "Unlicense",
)
"""Licences that permit use, change and redistribution for any purpose and demand attribution at most; neither
share-alike nor non-commercial ones."""
HUB = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
    "bsl-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
    "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0",
    "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0", "pddl", "postgresql",
    "unlicense", "wtfpl", "zlib",
})  # fmt: skip
"""Names that Hugging Face's cards use for licences of the SPDX list."""
OTHER = "other"
"""The name that such a card uses for any other licence."""


def allowed(expression: str, permitted: Collection[str]) -> bool:
    """Returns true if rows under `expression`, in canonical form, may be used where the licences in `permitted` are."""
    tokens = [*_tokens(expression), ""]

    def any_of() -> bool:
        found = [all_of()]
        while tokens[0] == "OR":
            tokens.pop(0)
            found.append(all_of())
        return any(found)

    def all_of() -> bool:
        found = [one()]
        while tokens[0] == "AND":
            tokens.pop(0)
            found.append(one())
        return all(found)

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            inside = any_of()
            tokens.pop(0)
            return inside
        if tokens[0] == "WITH":
            token = " ".join((token, tokens.pop(0), tokens.pop(0)))
        return token in permitted or token.removesuffix("+") in permitted

    return expression in permitted or any_of()


def spdx_pages(expression: str) -> list[str]:
    """Returns the page in the SPDX list of each licence in `expression`; `LicenseRef-NAME` has none."""
    names = [name.removesuffix("+") for name in _names(expression)]
    return [f"https://spdx.org/licenses/{name}" for name in names if not name.startswith("LicenseRef-")]


def hub_name(expression: str) -> str:
    """Returns the name of the licence in Hugging Face's cards, `other` where they have none."""
    name = re.sub("-(?:only|or-later)$", "", expression.lower())
    return next((known for known in (name, name.removesuffix("-1.0")) if known in HUB), OTHER)


def slug(expression: str) -> str:
    """Returns the expression as one word, for cards and tags that accept nothing else."""
    return re.sub("[^a-z0-9.]+", "-", expression.lower()).strip("-")


def _tokens(expression: str) -> list[str]:
    return re.findall(r"[()]|[^\s()]+", expression)


def _names(expression: str) -> Iterator[str]:
    """Yields the licences in an expression, without operators and exceptions."""
    before = ""
    for token in _tokens(expression):
        if token not in ("(", ")", "AND", "OR", "WITH") and before != "WITH":
            yield token
        before = token
