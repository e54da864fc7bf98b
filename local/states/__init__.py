"""Step Functions as AWS runs it: task states in full, executions that can be stopped, SageMaker as a service."""
