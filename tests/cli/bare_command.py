"""The type of the fixture `bare`, which runs `r1` in a process of its own."""

import subprocess
from collections.abc import Callable

Bare = Callable[..., "subprocess.CompletedProcess[str]"]
