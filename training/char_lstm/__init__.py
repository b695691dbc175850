"""The job `char-lstm`: a character network trained by pulses on CMO/HfOx beside floating point, then left alone."""
