"""The yardstick's own calibration: do its intervals cover, and how often does it find elicitation in nothing?

    worlds      simulated policies whose accuracy, pass@k, EF and KL are known in closed form
    coverage    one simulated policy: which of its 95 % intervals hold the truth
    nulls       one simulated comparison in which nothing is elicited: does the decision rule claim it all the same
    simulated   both, many times, resumable; a fingerprinted JSON file
    fits        the same questions put to real fits on the model organisms, with binomial intervals

The simulations go through the very functions that a comparison goes through, down to the rule of the report. What
they assume is that items are exchangeable draws and samples independent given their item's rate. No torch.
"""
