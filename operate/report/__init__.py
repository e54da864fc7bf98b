"""The report of a deployed stage: what the model decided lately, how well, and what changed, in figures."""
