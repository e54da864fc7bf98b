"""ClassifyBatch: classify some photos of a batch, and record the result of each."""
