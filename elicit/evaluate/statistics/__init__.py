"""Intervals and tests. Knows no policy, no metric and no file but the shipped calibration.

resamples      the resampled clusters of a comparison, and every interval rule
joint          all columns of a comparison at once, training seeds as the top level
beta_binomial  success rates of items from few samples each
ratios         ratios and other functions of means, under the same draws
significance   sign flips, Holm, Benjamini and Hochberg, detectable differences
shipped        the calibration files that ship, and whether they are of this code
"""
