"""Lambda as AWS runs it: isolated workers, bounded concurrency, real error types, metrics from log lines."""
