"""Parts of a report that are not figures: tables, LaTeX, the trace browser."""
