"""Contrastive vectors: difference of means between two sides of the base's own samples. See README.md."""
