"""Published figures of accelerators, and the share of those figures that real work reaches.

Peak figures are for dense matrices. The shares are the same for every stage, model and accelerator: with a share
fitted to each stage, an estimate would predict nothing.
"""

from collections.abc import Mapping

from r1_pipeline.errors import UnknownNameError
from r1_pipeline.recipe import Precision
from r1_pipeline.records import Record

TRAINING_UTILIZATION = 0.35
"""Share of peak FLOP/s in training, from DeepSeek-V3's own pre-training: 180,000 H800 hours for 1e12 tokens (technical
report, section 1)."""
DECODE_UTILIZATION = 0.35
"""Share of peak FLOP/s in sampling that is bound by arithmetic; assumed as in training."""
BANDWIDTH_UTILIZATION = 0.6
"""Share of memory and network bandwidth in sampling."""
LATENCY_S = 1e-4
"""Seconds of one synchronization: a collective between nodes, or the kernel launches of half a layer."""
WEIGHTS_SHARE = 0.5
"""Largest share of memory that weights take on devices that sample together; the rest is KV cache."""
MEMORY_SHARE = 0.9
"""Share of device memory that can be filled."""
SEQUENCES_PER_DEVICE = 256
"""Maximum number of sequences that a device samples at once; vLLM's default."""


class Accelerator(Record):
    """The figures of one device."""

    about: str
    flops: Mapping[Precision, float]
    """Peak FLOP/s of matrix products; formats that it lacks are left out."""
    memory_gib: float
    bandwidth: float
    """Memory bandwidth, bytes per second."""
    network: float
    """Bandwidth to other devices of the same job, bytes per second each way."""
    link: float
    """Bandwidth to other devices of the same node, bytes per second each way."""
    usd_per_hour: float


_HOPPER: Mapping[Precision, float] = {"float32": 67e12, "bfloat16": 989e12, "float8": 1979e12}
ACCELERATORS: Mapping[str, Accelerator] = {
    "h800": Accelerator(
        about="NVIDIA H800 SXM, 400 Gb/s InfiniBand; the paper's, at its price",
        flops=_HOPPER, memory_gib=80, bandwidth=3.35e12, network=50e9, link=200e9, usd_per_hour=2.0,
    ),
    "h100": Accelerator(
        about="NVIDIA H100 SXM, 400 Gb/s InfiniBand",
        flops=_HOPPER, memory_gib=80, bandwidth=3.35e12, network=50e9, link=450e9, usd_per_hour=2.5,
    ),
    "h200": Accelerator(
        about="NVIDIA H200 SXM, 400 Gb/s InfiniBand",
        flops=_HOPPER, memory_gib=141, bandwidth=4.8e12, network=50e9, link=450e9, usd_per_hour=3.0,
    ),
    "a100": Accelerator(
        about="NVIDIA A100 SXM 80 GB, 200 Gb/s InfiniBand",
        flops={"float32": 19.5e12, "bfloat16": 312e12}, memory_gib=80, bandwidth=2.04e12, network=25e9, link=300e9,
        usd_per_hour=1.5,
    ),
    "cpu-core": Accelerator(
        about="one core of a cloud machine, with the small matrices of the toy world",
        flops={"float32": 5e10, "bfloat16": 5e10}, memory_gib=8, bandwidth=1e10, network=1e9, link=1e9,
        usd_per_hour=0.04,
    ),
    "laptop-core": Accelerator(
        about="one core with AVX2 (bfloat16: AVX512-BF16), with the matrices of a model of half a billion parameters",
        flops={"float32": 1.35e11, "bfloat16": 2.4e11}, memory_gib=8, bandwidth=1e10, network=1e9, link=1e9,
        usd_per_hour=0.04,
    ),
}  # fmt: skip
"""Name -> accelerator, at rounded list prices of rented machines; the H800's price is the paper's (supplement, table
7)."""


def accelerator_of(name: str) -> Accelerator:
    """Looks up an accelerator; raises `UnknownNameError` with the known names."""
    if name not in ACCELERATORS:
        raise UnknownNameError("accelerator", name, ACCELERATORS)
    return ACCELERATORS[name]
