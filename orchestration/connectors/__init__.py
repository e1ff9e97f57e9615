"""Connectors: exports of other systems become files to land, a module a system.

Here: reading what Shopify, Google Analytics 4, Segment and RudderStack export, and writing landed rows.
Not here: judging the rows (landing.rules), and anything over a network: an export is a file.
"""
