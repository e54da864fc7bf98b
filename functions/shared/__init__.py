"""What several functions use. Every function's zip holds it."""
