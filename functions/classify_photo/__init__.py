"""ClassifyPhoto: classify a photo with the model, and choose between a bay and a review."""
