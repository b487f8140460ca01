"""The way from a code back to a window, an ONNX file of its own: `watchkeeper serve` runs it, the daemon never."""

import torch
from torch import Tensor, nn

from detector.core.arrays import Floats
from trainer.graph.export import check_close, open_session, to_onnx
from trainer.graph.graph import Graph
from trainer.networks.interface import Network


class Decoding(nn.Module):
    """Decode, then back to engineering units."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.preprocess, self.network = graph.preprocess, graph.network

    def forward(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor) engineering units."""
        network: Network = self.network  # type: ignore[assignment]
        return self.preprocess.restore(network.decode(code))


@torch.no_grad()
def export_decoder(graph: Graph, codes: Floats) -> bytes:
    """ONNX bytes, checked against torch on codes (case, latent). Raises BundleError where they disagree."""
    decoding, given = Decoding(graph).eval(), torch.from_numpy(codes)
    exported = to_onnx(decoding, given[:2], "code", ("window",))
    (got,) = open_session(exported).run(["window"], {"code": codes})
    check_close("window", got, decoding(given).numpy())
    return exported
