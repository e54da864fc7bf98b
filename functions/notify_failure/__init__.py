"""NotifyFailure: notify an operator of an execution that failed, and record the photo as unrouted."""
