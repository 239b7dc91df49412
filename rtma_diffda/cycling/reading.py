"""One thread at a time reads gridded files.

The libraries that read NetCDF must not be used by two threads at once, and netCDF4 lets other threads run while it is
inside them: a reader ahead and a cycle at work that read at the same moment end the process (segmentation fault in
HDF5) or get errors that are none.
"""

import threading

ONE_READER = threading.RLock()
"""Held by whoever reads gridded files."""
