"""What the benchmarks compute is tested here, beside them."""
