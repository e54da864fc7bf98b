"""Helpers that tests of several folders share, one name per job."""
