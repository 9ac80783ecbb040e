"""Measurements: this product beside the usual stack doing the same job, in one run; the numbers that matter are ratios."""
