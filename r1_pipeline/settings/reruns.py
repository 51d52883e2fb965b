"""Automatic re-runs of outdated assets: a part of the profile that never enters a fingerprint."""

from collections.abc import Mapping
from typing import Literal

from r1_pipeline.records import Record

When = Literal["at once", "in a window", "on approval"]


class Rerun(Record):
    """The time at which the assets of a group follow a change upstream or in their own recipe."""

    when: When
    """Condition of a re-run; with `on approval`, a person materializes the assets in the UI or with `r1 run`."""
    cron: str = ""
    """Start of the window as a cron expression of five fields, UTC; for `in a window` only."""
    hours: float = 0.0
    """Length of the window, hours."""


AT_ONCE = Rerun(when="at once")
ON_APPROVAL = Rerun(when="on approval")


class Reruns(Record):
    """The automatic re-runs that a profile allows."""

    groups: Mapping[str, Rerun]
    """Asset group -> its re-run, at any cost; other groups are decided by cost."""
    approve_above: float
    """Planned device hours of an asset or partition above which it waits for approval; cheaper ones follow at once."""

    def of(self, group: str, hours: float) -> Rerun:
        """Returns the re-run of an asset of `group` whose most expensive partition costs `hours` device hours."""
        return self.groups.get(group) or (ON_APPROVAL if hours > self.approve_above else AT_ONCE)


BY_COST = Reruns(groups={}, approve_above=1.0)
"""Re-runs by cost: assets of at most one device hour follow at once, others wait for approval."""
