"""Contained trials as a Dagster resource.

Here: the resource alone.
Not here: containment (containment).
"""

import dagster as dg

from orchestration.trials.containment import Containment


class TrialsResource(dg.ConfigurableResource):
    """Gives stages a containment; a machine that cannot contain is refused when a trial is to be run, not before."""

    def create_resource(self, context: dg.InitResourceContext) -> Containment:  # noqa: ARG002
        return Containment()
