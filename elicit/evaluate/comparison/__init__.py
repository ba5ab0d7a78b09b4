"""Measures of several policies into one comparison.json."""
