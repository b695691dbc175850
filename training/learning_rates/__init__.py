"""The job `learning-rates`: one rule at learning rates over a wide range, with its ceiling and without."""
