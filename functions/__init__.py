"""The Lambda functions: a folder for each, and `shared` for what several of them use."""
