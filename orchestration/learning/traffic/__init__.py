"""Traffic: who competes for a subject's units, and with what share."""
