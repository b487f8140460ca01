"""All that ends in ONNX: preprocessing, components of a score, distances, the graph and its export."""
