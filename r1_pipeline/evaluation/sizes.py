"""What mixtures of experts and latent attention spare, read off a checkpoint's own configuration.

DeepSeek-V3 is cheap for its size in two ways: a token meets few of the parameters, and leaves little in the KV cache.
Both hold at every width. Not covered: the arithmetic (`training.model_shape`), time and memory (`planning`).
"""

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.records import Record
from r1_pipeline.training.model_shape import shape_in


class Sizes(Record):
    """Of one model; its descendants have the same."""

    parameters: int
    active_parameters: int
    """Those that one token meets."""
    kv_bytes: int
    """Of KV cache that a token leaves behind, in bfloat16."""
    plain_kv_bytes: int
    """The same for plain attention of this width and depth."""


def sizes_of(model: Checkpoint) -> Sizes:
    """Raises `RecipeError` for an architecture whose shape is not known."""
    shape = shape_in(model.path)
    return Sizes(**{name: getattr(shape, name) for name in Sizes.model_fields})
