"""The transformer autoencoder: attention between the rows of a window, then one dense code for all of it.

Vaswani et al., Attention Is All You Need, NIPS 2017; layers are normed before and not after each step (Xiong et al.,
ICML 2020), which trains without a warm-up.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from schemas.families import Transformer
from trainer.networks.config import NetworkConfig

POSITION_SD = 0.1


class TransformerAutoencoder(nn.Module):
    """hidden: the first is the width of a row inside; each is the feed-forward width of one block."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, heads = config.hidden[0], (config.training.transformer or Transformer()).heads
        self._rows = (config.window, width)
        self.embed = nn.Linear(config.sensors, width)
        self.position = nn.Parameter(POSITION_SD * torch.randn(config.window, width))
        self.reader = nn.Sequential(*(_Block(width, heads, inner, config.dropout) for inner in config.hidden))
        self.squeeze = nn.Sequential(nn.LayerNorm(width), nn.Flatten(), nn.Linear(config.window * width, config.latent))
        self.unfold = nn.Linear(config.latent, config.window * width)
        self.writer = nn.Sequential(*(_Block(width, heads, inner, config.dropout) for inner in config.decoder))
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.sensors))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.squeeze(self.reader(self.embed(scaled) + self.position))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.output(self.writer(self.unfold(code).unflatten(1, self._rows)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Attention between the rows, then a feed-forward step on each row."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self._heads = heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projection = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """(batch, window, width) -> the same shape."""
        projected = self.projection(self.attention_norm(rows)).unflatten(
            2, (3, self._heads, -1)
        )  # (batch, row, 3, head, part)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        rows = rows + self.dropout(self.merge(attended))
        return rows + self.dropout(self.feed_forward(self.feed_forward_norm(rows)))  # type: ignore[no-any-return]
