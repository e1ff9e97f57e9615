"""Worlds: whoever sees the releases. They read the outbox and write landing/; no code of the graph imports them."""
