"""Commands that people run to make the backbone (with PyTorch) and to measure the model; no job imports them."""
