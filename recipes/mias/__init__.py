"""Classify and find lesions, as Jin and Zheng did on mini-MIAS."""
