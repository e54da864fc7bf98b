"""What people run at a desk: making the backbone and measuring models. Never part of a training job; needs PyTorch."""
