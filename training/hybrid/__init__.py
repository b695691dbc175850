"""What the jobs on the hybrid chip share: tasks, the training loop, compiled programs, tests of trained chips."""
