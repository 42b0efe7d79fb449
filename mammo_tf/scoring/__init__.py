"""Models that others trained: loading them safely, and scoring a data set with them."""
