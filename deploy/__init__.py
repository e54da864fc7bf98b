"""Deploy the system to an AWS account or to the embedded AWS, and remove it.

`python -m deploy deploy | destroy | people | outputs | image | render`, with `TARGET` (local or aws) and `STAGE` in the
environment.
"""
