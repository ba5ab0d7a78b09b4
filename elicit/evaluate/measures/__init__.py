"""Arrays by item and sample, read from the files of the stages."""
