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
    """Asset group -> when, whatever it costs; groups that are not named go by cost."""
    approve_above: float
    """Device hours, as planned, of one asset or partition: what costs more waits for approval, the rest follows at
    once."""

    def of(self, group: str, hours: float) -> Rerun:
        """When an asset of `group` is made again, whose most expensive partition costs `hours`."""
        return self.groups.get(group) or (ON_APPROVAL if hours > self.approve_above else AT_ONCE)


BY_COST = Reruns(groups={}, approve_above=1.0)
"""Everything follows at once that costs no more than an hour of one device."""
