"""Modules that several functions import; part of the package of every function."""
