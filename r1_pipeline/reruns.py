"""When what is out of date is made again without being asked for: part of a profile, never of a fingerprint."""

from collections.abc import Mapping
from typing import Literal

from r1_pipeline.records import Record

When = Literal["at once", "in a window", "on approval"]


class Rerun(Record):
    """When the assets of one group follow a change above or in themselves."""

    when: When
    """`on approval`: a person materializes them, in the user interface or with `r1 run`."""
    cron: str = ""
    """Start of the window, five fields, UTC; for `in a window` only."""
    hours: float = 0.0
    """Length of the window."""


AT_ONCE = Rerun(when="at once")
ON_APPROVAL = Rerun(when="on approval")


class Reruns(Record):
    """What a profile lets happen by itself."""

    groups: Mapping[str, Rerun]
    """Asset group -> when; groups that are not named wait for approval."""

    def of(self, group: str) -> Rerun:
        """When an asset of `group` is made again."""
        return self.groups.get(group, ON_APPROVAL)
