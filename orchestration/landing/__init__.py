"""The landing room: what comes from outside becomes rows, and what goes outside leaves through the outbox."""
