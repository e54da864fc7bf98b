"""RejectExcessPhoto: record that a photo is one of too many of its driver, and announce it."""
