"""generate -> grade -> measure -> compare: plain files between the stages, no torch but in the stages that sample.

entry           what a comparison is made of, and the check that its numbers may be compared
stages/         passes over samples that write files: generate, grade, annotate, passes, probes
measures/       those files as arrays by item and sample
statistics/     intervals and tests: one cluster bootstrap for everything
metrics/        one file per metric, its columns included; `METRICS` is the registry
comparison/     entries -> comparison.json (`elicit.results.Comparison`), and what is shown besides numbers
lenses/         one question to the stored traces each; `LENSES` is the registry
calibration/    whether the intervals cover and the decision rule holds its level
contamination   whether the base has seen the evaluation items
"""
