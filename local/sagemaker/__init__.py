"""SageMaker on the port of the embedded AWS: training and processing jobs, models, endpoints and the model registry.

Jobs and endpoints are real: a process of its own runs the caller's script with the environment that SageMaker's
script-mode containers give it.
"""
