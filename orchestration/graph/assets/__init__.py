"""How a turn runs: one thin module a stage, in the order of the graph."""
