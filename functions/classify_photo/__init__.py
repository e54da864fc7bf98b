"""ClassifyPhoto: ask the model about a photo, and choose between a bay and a review."""
