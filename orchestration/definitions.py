"""The address of the graph: what `workspace.yaml` and Dagster's tools load.

Here: the definitions of the home that is set. Not here: how they are assembled (graph.definitions).
"""

from orchestration.graph.definitions import build_definitions

defs = build_definitions()
