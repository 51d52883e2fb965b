"""A token depends on its own probabilities and its own number alone."""

import pytest
import torch

from r1_pipeline.generation.token_sampling import HEAD, sample_tokens
from r1_pipeline.records import Sampling

CHANCES = torch.tensor([[0.3, 0.5, 0.2]])


def drawn(chances: torch.Tensor, numbers: list[float], top_p: float, temperature: float = 1.0) -> list[int]:
    rows = chances.log().expand(len(numbers), -1)
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=1)
    return sample_tokens(rows, torch.tensor(numbers, dtype=torch.float64)[:, None], sampling).flatten().tolist()


def test_the_whole_distribution_is_turned_round_in_the_order_of_the_vocabulary() -> None:
    assert drawn(CHANCES, [0.0, 0.29, 0.31, 0.79, 0.81, 0.999], 1.0) == [0, 0, 1, 1, 2, 2]


def test_a_nucleus_is_the_shortest_head_that_reaches_its_mass_most_likely_first() -> None:
    """Tokens 1 and 0 reach 0.7 with 0.8 together; token 1 has 0.625 of that."""
    assert drawn(CHANCES, [0.0, 0.62, 0.63, 0.999], 0.7) == [1, 1, 0, 0]
    assert drawn(CHANCES, [0.999], 0.5) == [1]


def test_temperature_sharpens_and_zero_is_greedy() -> None:
    """Probabilities at temperature 0.5 are proportional to the squares: 9, 25 and 4 of 38."""
    assert drawn(CHANCES, [0.23, 0.24, 0.89, 0.90], 1.0, temperature=0.5) == [0, 1, 1, 2]
    assert drawn(CHANCES, [0.999], 1.0, temperature=0.0) == [1]


@pytest.mark.parametrize("top_p", [0.95, 1.0])
def test_a_row_is_drawn_alike_alone_and_in_company_narrow_or_wide(top_p: float) -> None:
    """Half of the rows have nuclei wider than the head that is searched first."""
    noise = torch.Generator().manual_seed(0)
    scores = torch.randn(64, 8 * HEAD, generator=noise) * torch.tensor([0.5, 6.0]).repeat(32)[:, None]
    numbers = torch.rand(64, 1, generator=noise, dtype=torch.float64)
    sampling = Sampling(temperature=1.0, top_p=top_p, max_tokens=1)
    together = sample_tokens(scores, numbers, sampling)
    assert torch.equal(
        together, torch.cat([sample_tokens(scores[i : i + 1], numbers[i : i + 1], sampling) for i in range(64)])
    )
    assert torch.equal(together.flip(0), sample_tokens(scores.flip(0), numbers.flip(0), sampling))


def test_the_head_gives_what_the_whole_vocabulary_gives() -> None:
    noise = torch.Generator().manual_seed(1)
    probs = (torch.randn(256, 4 * HEAD, generator=noise) * 4).softmax(-1)
    numbers = torch.rand(256, 1, generator=noise, dtype=torch.float64)
    found = sample_tokens(probs.log(), numbers, Sampling(temperature=1.0, top_p=0.9, max_tokens=1))
    for row, number, token in zip(probs.log().softmax(-1).double(), numbers, found, strict=True):
        falling, ids = row.sort(descending=True)
        inside = falling[: int((falling.cumsum(0) < 0.9).sum()) + 1]
        target, passed = float(number) * float(inside.sum()), 0.0
        for chance, index in zip(inside.tolist(), ids.tolist(), strict=False):
            passed += chance
            if passed > target:
                assert index == int(token)
                break
