"""Serving: what an application needs to answer its visitors from the outbox.

Here: one file to copy in Python (`flywheel_serving.py`) and one in JavaScript (`flywheel-serving.mjs`), and the test
vectors that both are held to. Neither needs a package.
Not here: how shares are set and written (delivery, landing), and events on their way back (landing).
"""
