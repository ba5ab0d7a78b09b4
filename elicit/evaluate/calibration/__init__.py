"""The yardstick's own calibration: do its intervals cover, and how often does its rule claim what is not there?

    worlds      simulated policies whose accuracy, pass@k, EF and KL are known in closed form
    coverage    one simulated policy: which of its 95 % intervals hold the truth
    nulls       one simulated comparison in which nothing is elicited: does the decision rule claim something?
    simulated   both, many times, resumable; a fingerprinted JSON file
    fits        the same questions put to real fits on the model organisms, with binomial intervals

The simulations use the same functions as a comparison, down to the rule of the report. What
they assume is that items are exchangeable draws and samples independent given their item's rate. No torch.
"""
