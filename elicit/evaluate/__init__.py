"""generate -> grade -> measure -> compare: plain files between the stages, no torch but in `generate`."""
