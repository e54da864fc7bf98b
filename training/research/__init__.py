"""Commands that create the backbone (with PyTorch) and measure the model; no job imports them."""
