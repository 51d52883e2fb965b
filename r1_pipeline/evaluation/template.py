"""This module makes the environment of the pages' templates; everything that a template inserts is escaped."""

from typing import TYPE_CHECKING

from r1_pipeline.evaluation.cells import clock, estimate, number, percent

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> "Environment":
    """Returns the environment of `templates/`, with the number formats of the tables as filters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("r1_pipeline.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(clock=clock, number=number, percent=percent, estimate=estimate)
    return made
