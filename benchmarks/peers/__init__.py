"""Published loops restated in our words, to measure beside: same algorithm, their way of running it."""
