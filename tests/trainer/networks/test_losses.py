"""The losses are what their names say, over present cells."""

import pytest
import torch
from torch.nn import functional

from trainer.networks.interface import Batch
from trainer.networks.losses import loss_function


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("mse", functional.mse_loss),
        ("mae", functional.l1_loss),
        ("huber", functional.huber_loss),
        ("bce", functional.binary_cross_entropy),
    ],
)
def test_a_loss_is_the_mean_over_present_cells(name: str, known: object) -> None:
    """As torch computes it on these cells alone; what stands in the others does not count."""
    generator = torch.Generator().manual_seed(0)
    rebuilt, targets = (torch.rand(5, 4, 3, generator=generator) for _ in range(2))
    present = torch.rand(5, 4, 3, generator=generator) < 0.7
    padded = torch.where(present, targets, 50.0)
    found = loss_function(name)(rebuilt, Batch(rebuilt, padded, present, torch.zeros(3)))
    assert float(found) == pytest.approx(float(known(rebuilt[present], targets[present])), rel=1e-5)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "bce"])
def test_where_nothing_is_missing_no_mask_is_needed(name: str) -> None:
    """The same mean, over all cells and window by window, as with a mask that lets all of them through."""
    generator = torch.Generator().manual_seed(0)
    rebuilt, targets = (torch.rand(5, 4, 3, generator=generator) for _ in range(2))
    whole = Batch(rebuilt, targets, None, torch.zeros(3))
    masked = Batch(rebuilt, targets, torch.ones(5, 4, 3, dtype=torch.bool), torch.zeros(3))
    assert float(loss_function(name)(rebuilt, whole)) == pytest.approx(
        float(loss_function(name)(rebuilt, masked)), rel=1e-6
    )
    torch.testing.assert_close(whole.means(targets), masked.means(targets))
