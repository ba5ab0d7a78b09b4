"""Tasks from data sets and other generators, with their own prompts and answer kinds."""
