"""The type of an `r1` in a process of its own (the fixture `bare`)."""

import subprocess
from collections.abc import Callable

Bare = Callable[..., "subprocess.CompletedProcess[str]"]
