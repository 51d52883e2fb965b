"""This module reads the savings of mixture of experts and latent attention from a checkpoint's own configuration.

DeepSeek-V3 is cheap for its size in two ways: a token uses few of the parameters, and adds little to the KV cache.
Both hold at every width. Not covered: the arithmetic (`training.model_shape`), time and memory (`planning`).
"""

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.records import Record
from r1_pipeline.training.model_shape import shape_in


class Sizes(Record):
    """The sizes of one model and of all models trained from it."""

    parameters: int
    """The number of parameters."""
    active_parameters: int
    """The number of parameters that one token uses."""
    kv_bytes: int
    """The KV cache of one token in bytes, in bfloat16."""
    plain_kv_bytes: int
    """The KV cache of one token in bytes with plain attention of the same width and depth."""


def sizes_of(model: Checkpoint) -> Sizes:
    """Returns the sizes of a checkpoint; raises `RecipeError` for an unknown architecture."""
    shape = shape_in(model.path)
    return Sizes(**{name: getattr(shape, name) for name in Sizes.model_fields})
