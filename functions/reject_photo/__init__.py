"""RejectPhoto: record that a photo cannot be used, and announce it."""
