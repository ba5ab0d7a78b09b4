"""Tasks with generated questions, an exact validator of traces and three shift axes."""
