"""The step loop: continuous batching with keyed draws."""
