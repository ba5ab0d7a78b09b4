"""KV steering: one vector per layer added once to the keys and values of the prompt. See README.md."""
