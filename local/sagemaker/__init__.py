"""SageMaker on the port of the embedded AWS: training and processing jobs, models, endpoints and the model registry.

Jobs and endpoints run the caller's script in a child process with the environment that SageMaker's
script-mode containers give it.
"""
