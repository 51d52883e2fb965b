"""The built-in sources are one for each domain and one for preference pairs, each with its version and licence.

A digest changes when the rows that the source yields may change; the graph watches it.
Not covered: the problems themselves.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from r1_pipeline.recipe import fingerprint, installed_version
from r1_pipeline.records import Domain, Record

SourceName = Literal["math", "code", "stem", "logic", "general", "preference"]


class Source(Record):
    """A built-in source of problems or pairs."""

    name: str
    """The generator and its version, `generator@version`."""
    licence: str
    """The licence, an SPDX identifier."""
    about: str
    """A description for people, of one line."""

    @property
    def digest(self) -> str:
        """The sha256 of all the fields above."""
        return fingerprint(self)


TOY_VERSION = 5
"""The version of the toy world; bump it when the wording or the items change."""

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
    """Returns the source of a domain, or of the preference pairs."""
    generator, about = _ABOUT[name]
    full = f"r1-toy/{generator}@{TOY_VERSION}"
    if name == "math":
        full = f"reasoning-gym/{generator}@{installed_version('reasoning-gym')}+r1-toy@{TOY_VERSION}"
    return Source(name=full, licence="Apache-2.0", about=about)
