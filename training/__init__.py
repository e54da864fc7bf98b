"""Everything that runs inside SageMaker: data, model, training, evaluation and serving (script mode)."""
