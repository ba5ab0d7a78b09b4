"""From a completion to a verdict: extraction, equivalence, the grader and its worker processes."""
