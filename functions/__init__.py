"""The Lambda functions: one folder per function, and `shared` with the modules that several functions import."""
