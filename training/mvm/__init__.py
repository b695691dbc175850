"""The job `mvm`: products of a 64 x 64 array from programming to ten years, on three technologies."""
