"""Changes of decoding: the same model, other tokens picked. See README.md."""
