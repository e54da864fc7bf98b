"""RequestReview: send a photo to the review queue."""
