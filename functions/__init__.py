"""The Lambda functions of classify-photo: one folder each, and `shared` for what several of them use."""
