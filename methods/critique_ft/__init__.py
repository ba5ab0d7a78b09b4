"""Critique fine-tuning with pluggable responses and critics. See README.md."""
