"""Measures of several policies into one comparison.json.

compare      the story: check, measure, bootstrap, lines, files        prereg       the frozen plan
lines        one typed line per arm, filled by the metrics             escalation   asking the base more often
pairs, traces, warnings        what a comparison shows besides lines   inputs       what it was computed from
lm_eval      the files of another tool
"""
