"""Effects and their controls: r1 run --profile tiny --recipe examples/controls.py (or: make controls)

Mixing that does not pay, a web without the longest way to think, and two corpora as large as the teacher's that no
teacher wrote. The report says which effects stay.
"""

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.controls import with_controls


def extend(profile: Profile) -> Profile:
    """Adds the nodes of the controls, and their table to the report."""
    return with_controls(profile)
