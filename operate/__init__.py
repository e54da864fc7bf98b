"""The commands that people run against a deployed system. `python -m operate --help` lists them.

They call AWS with the names in the stack's outputs and do not depend on where the stack runs.
"""
