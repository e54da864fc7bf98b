"""RecordRollback: record the result of a rollback."""
