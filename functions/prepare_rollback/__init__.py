"""PrepareRollback: find the model that a rollback restores."""
