"""Worlds that are simulated: audiences that no person belongs to, labelled so wherever their numbers show."""
