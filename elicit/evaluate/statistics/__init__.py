"""Intervals and tests, and what is known of their coverage."""
