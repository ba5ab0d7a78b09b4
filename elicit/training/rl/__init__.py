"""Group-relative policy gradient on weights or on steering vectors. Start with `grpo.py`."""
