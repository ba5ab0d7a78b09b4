"""Vectors on the residual stream, trained by reinforcement learning over a frozen base. See README.md."""
