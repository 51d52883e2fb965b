"""The documentation states the hours that `r1 plan` computes."""

from pathlib import Path

import pytest

from r1_pipeline.cli.plan import hours_text
from r1_pipeline.planning.plan import plan
from r1_pipeline.profiles import load_profile

SCALING = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()


def row(begins: str) -> str:
    """The one row of a table in docs/scaling.md whose first cell is this."""
    [found] = [line for line in SCALING if line.startswith(f"| {begins} |")]
    return found


@pytest.mark.parametrize("name", ["tiny", "laptop", "small", "node", "paper"])
def test_hours_of_a_profile_are_those_of_its_plan(name: str) -> None:
    planned = plan(load_profile(name, 0), None, compare=False)
    days = f"{planned.gpu_hours / planned.devices / 24:,.1f} days on all {planned.devices}"
    said = row(f"`{name}`").rpartition("|")[0].rpartition("|")[2].strip()
    hours = f"{hours_text(planned.gpu_hours)} device hours"
    assert said == (f"{hours} ({days})" if planned.devices > 1 else hours)


def test_the_papers_hours_stand_beside_the_plans() -> None:
    published = plan(load_profile("paper", 0), None, compare=True).published
    rows = {name: (figure.hours, figure.estimate) for name, figure in published.items()}
    rows["in all"] = (sum(hours for hours, _ in rows.values()), sum(estimate for _, estimate in rows.values()))
    for name, (hours, estimate) in rows.items():
        assert row(name) == f"| {name} | {hours:,.0f} | {estimate:,.0f} | {estimate / hours:.2f} |"
