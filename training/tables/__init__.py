"""The job `tables`: each table of the hybrid-memory article, and what goes past it."""
