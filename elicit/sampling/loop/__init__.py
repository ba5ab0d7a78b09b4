"""The step loop: continuous batching with keyed random draws. Start with step_loop.py, then live_rows.py."""
