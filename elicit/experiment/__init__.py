"""From overrides to a finished comparison: plan, fit, measure, compare, resume."""
