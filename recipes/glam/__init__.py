"""Segment lesions from image labels alone with GLAM, as Liu et al. 2021."""
