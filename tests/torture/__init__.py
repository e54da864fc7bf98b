"""The long form of the tests with hostile files and with faults: `make torture`."""
