"""The token of `r1 ui`, in a file of the home that only its owner can read, so that bookmarks outlive a restart."""

import os
import re
import secrets
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

from r1_pipeline.errors import RequirementError

FILE = "ui-token"
"""Name of the file in the home."""
BYTES = 24
"""Random bytes of a token, which is their text in base 64."""
FORM = re.compile(r"[A-Za-z0-9_-]{32}")
ADVICE = "make another: r1 ui --rotate-token"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def kept_token(home: Path, *, renew: bool = False) -> str:
    """Returns the token of a home, and makes one if there is none, or with `renew` in any case.

    Raises `RequirementError` for a file that other users can read, or that holds no token.
    """
    file = home / FILE
    if renew or not os.path.lexists(file):
        _make_token(home, replace=renew)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise RequirementError(f"{file} cannot be read: {error.strerror}; {ADVICE}") from error
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & OTHERS:
            raise RequirementError(f"other users may know the token in {file}; {ADVICE}")
        token = stream.read(1000).strip()
    if not FORM.fullmatch(token):
        raise RequirementError(f"{file} holds no token; {ADVICE}")
    return token


def _make_token(home: Path, *, replace: bool) -> None:
    """Makes a new token for a home; without `replace`, a token that another process has made meanwhile stays."""
    with TemporaryDirectory(dir=home, prefix=".ui-token-") as folder:  # a directory of mode 700
        fresh = Path(folder) / FILE
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_urlsafe(BYTES)}\n")
        if replace:
            fresh.replace(home / FILE)
            return
        try:
            (home / FILE).hardlink_to(fresh)
        except FileExistsError:
            return
