"""The commands for a deployed stack. `python -m operate --help` lists them.

They read the names of AWS resources from the outputs of the stack, which may run on AWS or on the embedded AWS.
"""
