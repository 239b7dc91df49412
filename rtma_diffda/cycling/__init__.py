"""Cycling: first guess → analysis → archive, every 15 minutes, with restart, late data and labelled fallbacks.

Read ``cycle.py`` first: ``run_cycle`` is one cycle as prose. ``runner.py`` repeats it, by ``schedule.py``.
"""
