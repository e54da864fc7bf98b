"""PrepareBatch: check the input of classify-batch."""
