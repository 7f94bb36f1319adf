"""Training a network over any number of ranks: the stage between prepared data and trained weights."""
