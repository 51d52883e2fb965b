"""What Dagster loads: the code location that the environment names. The only module that reads it when imported."""

from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings

defs = code_location(Settings.from_environment())
