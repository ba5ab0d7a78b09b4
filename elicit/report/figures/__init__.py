"""Figures as rows of numbers, and how they are drawn."""
