"""Lambda: isolated workers, limited concurrency, AWS's error types, metrics from log lines."""
