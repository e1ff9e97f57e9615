"""Worlds that are replayed: logged randomised experiments, met again turn by turn."""
