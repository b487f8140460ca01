"""A bundle over HTTP (`watchkeeper serve`): stateless, read only. Needs the extra `serve`; knows nothing of Kafka."""
