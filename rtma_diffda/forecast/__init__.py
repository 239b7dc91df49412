"""Forecasts: states stepped forward in time, by a network of a limited area, or by something simpler."""
