"""SageMaker on the port of the embedded AWS: training and processing jobs, models, endpoints and the model registry.

Jobs and endpoints run the programs of container images (local.images) as child processes, by SageMaker's contract for
containers.
"""
