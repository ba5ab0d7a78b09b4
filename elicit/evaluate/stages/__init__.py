"""Passes over samples that write files next to them: generate, grade, annotate, probe."""
