"""Regional and global weather analyses every fifteen minutes.

The reading order is ``interfaces.py`` (the contracts), then ``assimilation/optimal_interpolation.py`` (the simplest
method), then ``experiments/demo.py`` (everything from reports to a verified analysis).

pyproj is imported, and one CRS built, before anything may import ecCodes: both bring a PROJ library of their own, and
with ecCodes first pyproj loses its database and the process dies at exit. So the order is settled here, once.
"""

from pyproj import CRS

CRS.from_proj4("+proj=longlat +R=6371200")  # opens pyproj's database before ecCodes can

__version__ = "0.1.0"
