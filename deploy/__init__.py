"""Putting the system into an AWS account, or onto the embedded AWS, and taking it out again.

`python -m deploy deploy | destroy | outputs | render`, with `TARGET` (local or aws) and `STAGE` in the environment.
"""
