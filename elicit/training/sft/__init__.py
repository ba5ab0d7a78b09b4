"""Supervised fine-tuning on a method's own or on gold texts. Start with `sft.py`."""
