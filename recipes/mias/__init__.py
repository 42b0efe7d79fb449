"""Classify and find lesions on mini-MIAS (Jin & Zheng)."""
