"""Profiles: named functions that return everything a run needs to know.

    smoke, tiny   the toy world on two CPU cores         `profiles.tiny`
    laptop        Qwen2.5-Coder-0.5B on two CPU cores    `profiles.laptop`
    laptop-bf16   the same in bfloat16, where the processor computes it
    small         Qwen2.5-1.5B on one GPU                `profiles.small`
    node          Qwen2.5-7B on eight GPUs               `profiles.node`
    paper         DeepSeek-V3-Base on 512 GPUs           `profiles.paper`

The packages that a profile configures have no meaningful defaults of their own. A name may carry another base model:
`small:DIRECTORY` or `small:OWNER/NAME@REVISION`.
"""

from collections.abc import Callable
from dataclasses import replace

from r1_pipeline.profiles.laptop import laptop, laptop_bf16
from r1_pipeline.profiles.node import node
from r1_pipeline.profiles.paper import paper
from r1_pipeline.profiles.pretrained import with_base
from r1_pipeline.profiles.profile import Forecast, Machine, Profile
from r1_pipeline.profiles.small import small
from r1_pipeline.profiles.tiny import smoke, tiny
from r1_pipeline.registry import Registry

__all__ = ["PROFILES", "Forecast", "Machine", "Profile", "load_profile", "smoke", "tiny"]

PROFILES: Registry[Callable[[int], Profile]] = Registry(
    "profile",
    {
        "smoke": smoke,
        "tiny": tiny,
        "laptop": laptop,
        "laptop-bf16": laptop_bf16,
        "small": small,
        "node": node,
        "paper": paper,
    },
)
"""Every profile; a recipe file may add its own."""


def load_profile(name: str, seed: int) -> Profile:
    """Loads the profile `name`, with every seed derived from `seed`; a base model after a colon replaces its own.

    Raises `UnknownNameError` with the known names, `RequirementError` for a base that this machine lacks.
    """
    known, _, base = name.partition(":")
    profile = replace(PROFILES[known](seed), name=name, seed=seed)
    return with_base(profile, base) if base else profile
