"""Synthetic windows as a network sees them."""

import torch

from trainer.fitting.fit import Scaled


def made_windows(rows: int, seed: int) -> Scaled:
    """Windows of three sensors that follow one signal, (window, 4, 3)."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(rows, 4, 1, generator=generator)
    values = signal.repeat(1, 1, 3) + 0.1 * torch.randn(rows, 4, 3, generator=generator)
    return Scaled(values, values, torch.ones_like(values, dtype=torch.bool), torch.zeros(3))
