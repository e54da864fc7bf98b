"""RecordRetraining: record the result of a retraining."""
