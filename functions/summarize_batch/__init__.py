"""SummarizeBatch: write the results of a batch as JSON Lines, and their summary."""
