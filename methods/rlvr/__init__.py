"""Reinforcement learning from verifiable rewards, on all weights or LoRA pairs. See README.md."""
