"""Tells which stages of a plan do not fit into the memory of a device, and what helps."""

from r1_pipeline.errors import RequirementError
from r1_pipeline.planning.plan import Plan, plan
from r1_pipeline.profiles import Profile


def misfits(planned: Plan) -> list[str]:
    """Returns a line for each reason why stages do not fit, with the stages and what helps; none if all fit."""
    room = planned.memory_gib
    found: dict[str, list[str]] = {}
    for asset, stage in planned.stages.items():
        if stage.memory_gib_per_device > room:
            said = f"{asset} ({stage.memory_gib_per_device:,.0f} GiB)"
            found.setdefault(f"{stage.fullest}: {stage.remedy}", []).append(said)
    return [f"does not fit into {room:.0f} GiB a device: {', '.join(stages)} in {why}" for why, stages in found.items()]


def require_memory(profile: Profile) -> None:
    """Raises `RequirementError` if stages of the profile do not fit into the GPUs that it is made for.

    A CPU's memory is not divided among devices, so nothing is required there.
    """
    if profile.runtime.device.startswith("cuda") and (lines := misfits(plan(profile, None, compare=False))):
        raise RequirementError("\n".join(lines))
