"""The job `codesign`: devices, circuits and schedules chosen by gradients, each study with its independent check."""
