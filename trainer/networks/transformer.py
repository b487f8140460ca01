"""The transformer autoencoder: attention between the rows of a window, then one dense code for all of it.

Vaswani et al., Attention Is All You Need, NIPS 2017; layers are normed before and not after each step (Xiong et al.,
ICML 2020), which trains without a warm-up.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from schemas.families import Transformer
from trainer.networks.plan import Plan

POSITION_SD = 0.1


class TransformerAutoencoder(nn.Module):
    """hidden: the first is the width of a row inside; each is the feed-forward width of one block."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        width, heads = plan.hidden[0], (plan.training.transformer or Transformer()).heads
        self._rows = (plan.window, width)
        self.embed = nn.Linear(plan.sensors, width)
        self.position = nn.Parameter(POSITION_SD * torch.randn(plan.window, width))
        self.reader = nn.Sequential(*(_Block(width, heads, inner, plan.dropout) for inner in plan.hidden))
        self.squeeze = nn.Sequential(nn.LayerNorm(width), nn.Flatten(), nn.Linear(plan.window * width, plan.latent))
        self.unfold = nn.Linear(plan.latent, plan.window * width)
        self.teller = nn.Sequential(*(_Block(width, heads, inner, plan.dropout) for inner in plan.decoder))
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, plan.sensors))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.squeeze(self.reader(self.embed(scaled) + self.position))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.output(self.teller(self.unfold(code).unflatten(1, self._rows)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Rows look at each other, then each is thought over by itself."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self._heads = heads
        self.before_look, self.before_think = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """(batch, window, width) -> the same shape."""
        asked = self.ask(self.before_look(rows)).unflatten(2, (3, self._heads, -1))  # (batch, row, 3, head, part)
        query, key, value = asked.permute(2, 0, 3, 1, 4).unbind(0)
        seen = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        rows = rows + self.dropout(self.join(seen))
        return rows + self.dropout(self.think(self.before_think(rows)))  # type: ignore[no-any-return]
