"""RequestReview: ask a reviewer about a photo."""
