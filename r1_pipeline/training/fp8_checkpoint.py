"""Checkpoints in FP8, as DeepSeek-V3 is published, are expanded to bfloat16 before they are imported.

Each weight in FP8 has a neighbour `NAME_scale_inv` with one factor for each block of, mostly, 128 x 128 numbers; blocks
at the edges are smaller. transformers refuses to train a quantized model, expands none whose sizes are not multiples of
the block (DeepSeek-V3's 576 rows of compressed keys are not), and quantizes again what it saves. So the weights are
expanded file by file into a directory that is an ordinary checkpoint. Not covered: training in FP8 (`precision`).
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RequirementError

if TYPE_CHECKING:
    from torch import Tensor

SCALE = "_scale_inv"
INDEX = "model.safetensors.index.json"


def is_fp8(directory: Path) -> bool:
    """Returns true if the checkpoint holds blocks of FP8 with their scales; raises `RequirementError` for any other
    quantization."""
    config = directory / "config.json"
    if directory.suffix == ".gguf" or not config.exists():
        return False
    settings = json.loads(config.read_text(encoding="utf-8")).get("quantization_config")
    if settings is None:
        return False
    if settings.get("quant_method") != "fp8" or not settings.get("weight_block_size"):
        raise RequirementError(
            f"{directory} is quantized as {settings.get('quant_method')!r}, which cannot be trained; name the model in "
            "16 bits, or in FP8 with weight_block_size"
        )
    return True


def expand(directory: Path, target: Path) -> Path:
    """Writes the checkpoint in `directory` to `target` with all weights in bfloat16, and returns `target`.

    Raises `RequirementError` for a weight in FP8 without its scales.
    """
    from safetensors.torch import save_file

    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    block = config.pop("quantization_config")["weight_block_size"]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in directory.iterdir():
        if file.is_file() and file.suffix != ".safetensors" and file.name not in ("config.json", INDEX):
            shutil.copyfile(file, target / file.name)
    (target / "config.json").write_text(json.dumps({**config, "torch_dtype": "bfloat16"}, indent=1), encoding="utf-8")
    files = sorted(directory.glob("*.safetensors"))
    tensor_of, where = _reader(files)
    placed: dict[str, str] = {}
    for file in files:
        names = [name for name, held in where.items() if held == file and not name.endswith(SCALE)]
        if names:
            save_file({name: _expanded(name, tensor_of, where, block) for name in names}, target / file.name)
        placed |= dict.fromkeys(names, file.name)
    if len(files) > 1:
        (target / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": placed}), encoding="utf-8")
    return target


def _reader(files: list[Path]) -> "tuple[Callable[[str], Tensor], dict[str, Path]]":
    """Returns a function from a tensor's name to the tensor, and the file of each; scales may be in another file."""
    from safetensors import safe_open

    where: dict[str, Path] = {}
    for file in files:
        with safe_open(file, "pt") as held:
            where |= dict.fromkeys(held.keys(), file)

    def tensor_of(name: str) -> "Tensor":
        with safe_open(where[name], "pt") as held:
            return held.get_tensor(name)

    return tensor_of, where


def _expanded(name: str, tensor_of: "Callable[[str], Tensor]", where: dict[str, Any], block: list[int]) -> "Tensor":
    import torch

    weight = tensor_of(name)
    if weight.dtype != torch.float8_e4m3fn:
        return weight
    if name + SCALE not in where:
        raise RequirementError(f"{where[name]} has {name} in FP8 without {name}{SCALE}; fetch the whole checkpoint")
    return dequantized(weight, tensor_of(name + SCALE), block)


def dequantized(weight: "Tensor", scales: "Tensor", block: list[int]) -> "Tensor":
    """Returns the matrix in bfloat16: each number times the scale of its block."""
    import torch

    rows, columns = weight.shape
    factors = scales.float().repeat_interleave(block[0], 0)[:rows].repeat_interleave(block[1], 1)[:, :columns]
    return (weight.float() * factors).to(torch.bfloat16)
