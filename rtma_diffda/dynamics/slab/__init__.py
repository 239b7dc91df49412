"""A thermal shallow-water slab with a shallow surface layer: simulated weather that solves equations."""
