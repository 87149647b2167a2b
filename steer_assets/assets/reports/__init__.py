"""Group `reports`: tests, verdicts, pages, and the summary."""
