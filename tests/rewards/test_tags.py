"""Tag count: each tag of the template once, wherever it stands."""

import pytest

from r1_pipeline.rewards.tags import tag_share


@pytest.mark.parametrize(
    ("template", "text", "share"),
    [
        ("zero", "<think>a</think> <answer>5</answer>", 1.0),
        ("zero", "</answer><answer></think><think>", 1.0),
        ("zero", "<think>a</think>5", 0.5),
        ("zero", "<think>a</think> <answer>5</answer> <answer>6</answer>", 0.5),
        ("zero", "5", 0.0),
        ("chat", "<think>a</think>5", 1.0),
        ("chat", "<think>a", 0.5),
        ("chat", "<think><think>a</think>5", 0.5),
    ],
)
def test_the_share_of_tags_that_stand_once(template, text, share):
    assert tag_share(template, text) == share
