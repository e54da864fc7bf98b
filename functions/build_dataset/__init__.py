"""BuildDataset: create the snapshot of labels that a retraining trains on."""
