"""Proof: what the evidence says, with its uncertainty, and what follows from it."""
