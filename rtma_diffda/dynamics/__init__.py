"""Simulated weather: truth that is known everywhere, and backgrounds that are wrong in known ways."""
