"""Policies: what chooses, and how it is fitted on what was seen."""
