"""All that ends in ONNX: preprocessing, parts of a score, distances, the graph and its export."""
