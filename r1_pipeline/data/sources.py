"""Where problems come from: one source for each domain, and one for preference pairs, with version and licence.

A digest changes when what the source would yield may change; the graph watches it.
Not covered: the problems themselves.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Literal, get_args

from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import Domain, Record

SourceName = Literal["math", "code", "stem", "logic", "general", "preference"]


class Source(Record):
    """A place that problems come from."""

    name: str
    """`generator@version`."""
    licence: str
    """SPDX identifier."""
    about: str
    """One line for people."""

    @property
    def digest(self) -> str:
        """sha256 of all the above."""
        return fingerprint(self)


TOY_VERSION = 5
"""Bump when the wording or the items of the toy world change."""

_ABOUT: Mapping[str, tuple[str, str]] = {
    "math": ("chain_sum", "sums of three small terms, from reasoning-gym, re-worded in English and Chinese"),
    "code": ("programs", "functions of two operations, checked by running them"),
    "stem": ("products", "laws of nature that multiply two numbers, four options"),
    "logic": ("turns", "which way one faces after some turns"),
    "general": ("courtesies", "friendly requests, and harmful ones to decline"),
    "preference": ("courtesies", "better and worse replies to courtesies"),
}
SOURCE_NAMES: tuple[SourceName, ...] = get_args(SourceName)


def source_of(name: SourceName | Domain) -> Source:
    """The source of a domain, or of the preference pairs."""
    generator, about = _ABOUT[name]
    full = f"r1-toy/{generator}@{TOY_VERSION}"
    if name == "math":
        full = f"reasoning-gym/{generator}@{version('reasoning-gym')}+r1-toy@{TOY_VERSION}"
    return Source(name=full, licence="Apache-2.0", about=about)
