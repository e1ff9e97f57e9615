"""Measurements that back what the README claims, each against a peer in the same run."""
