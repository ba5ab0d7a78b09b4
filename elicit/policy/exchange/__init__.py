"""Interventions in the files of other tools: written by `elicit export RUN`, read by `method=given`."""
