"""What a person asks at the terminal: one module a question. Nothing of the graph knows them."""
