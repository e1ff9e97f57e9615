"""Texts: what a text is worth before anybody has met it, and what good texts teach a model."""
