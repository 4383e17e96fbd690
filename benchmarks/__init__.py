"""Measurements, repeatable and side by side with peers; ratios of one run."""
