"""Container images without a container engine: CodeBuild lays them out as folders, ECR names them, SageMaker runs them.

An image is the folder with what the COPY instructions of its Dockerfile copy. Its programs run as processes, in the
Python of this server, so what its RUN instructions install has to be installed here in the same versions.
"""
