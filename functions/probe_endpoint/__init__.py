"""ProbeEndpoint: smoke-test a new endpoint."""
