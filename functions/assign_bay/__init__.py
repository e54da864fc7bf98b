"""AssignBay: record the decision about a photo and announce it."""
