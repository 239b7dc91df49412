"""The sizes of the cases of ``limited_area.py``; shared by both sides."""

STATE, FORCING, STATIC, HIDDEN, LAYERS, SPACING, CELLS = 17, 5, 4, 64, 4, 2500.0, 3
