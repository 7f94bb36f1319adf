"""Supporting pieces that tests and benchmarks share."""
