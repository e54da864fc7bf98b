"""AuditDecisions: ask reviewers about a sample of decisions, record their answers, estimate the error."""
