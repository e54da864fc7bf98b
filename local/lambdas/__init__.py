"""Lambda: isolated workers, limited concurrency, the error types of AWS, metrics from log lines."""
