"""The console of reviewers and operators, in a browser (`web`) or in a terminal (`terminal`).

Reviewers classify the photos below the confidence threshold: `desk` holds their sessions, `leases` the messages of
the review queue, and `delivery` sends the answers. Operators upload photos, follow decisions, look at the model and
replay failed requests (`failed_requests`). The console finds AWS resources by the outputs of the deployed stack.
"""
