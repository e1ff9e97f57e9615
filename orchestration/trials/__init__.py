"""The room that runs programs nobody vouches for, each in a containment of its own.

Here: `Containment`, which is handed to whoever needs a `RunsTrials`, and what it takes to hold a program.
Not here: what a trial is (generation.trials) and what its score is worth (a loop's reward).
"""
