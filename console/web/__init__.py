"""The console in a browser, on loopback."""
