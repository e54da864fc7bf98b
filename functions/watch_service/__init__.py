"""WatchService publishes what alarms need and AWS does not measure."""
