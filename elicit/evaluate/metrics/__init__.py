"""One file a metric. Each gives values by item (so that intervals stay joint) or plain counts; no files, no torch."""
