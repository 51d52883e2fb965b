"""The module that Dagster loads: the code location named by the environment, which is read on import here and only
here.
"""

from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings

defs = code_location(Settings.from_environment())
