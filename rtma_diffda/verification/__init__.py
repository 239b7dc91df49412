"""Verification: matched pairs, scores with intervals, calibration, reports; never told which method made a field."""
