"""Adds the control experiments of the toy world's effects; the report states which effects survive their control.

    r1 run --profile tiny --recipe examples/controls.py        (or: make controls)

The controls are a web on which mixing languages does not pay, a web without the longest way to think, and two corpora
as large as the teacher's that no teacher wrote.
"""

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.controls import with_controls


def extend(profile: Profile) -> Profile:
    """Adds the control nodes, and their table in the report."""
    return with_controls(profile)
