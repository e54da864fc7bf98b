"""What people do to a deployed system: try it, upload photos, retrain, look. `python -m operate --help` lists it.

Plain AWS calls against the outputs of the deployed stack; nothing here knows where that stack runs.
"""
