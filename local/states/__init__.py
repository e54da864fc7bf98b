"""Step Functions: all fields of Task states, executions that can be stopped, SageMaker integrations."""
