"""Experiments: `python -m training JOB`. Not in the wheel; imported from a checkout.

    job.py           what a job is, and how to add one
    runner.py        runs any job: directory, progress bar, checkpoints, time budget, report
    command_line.py  options, their checks, and what --resume takes over
    data/            data sets, each from a local directory or a public mirror
    loop.py          compiled epochs of a network on a memory, shared by jobs
    publish.py       turns finished runs into a committed page of docs/results

and one folder for each job.
"""
