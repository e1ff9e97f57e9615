"""Fakes and a loopback endpoint that tests and benchmarks share."""
