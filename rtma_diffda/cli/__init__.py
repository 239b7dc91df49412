"""The command line: composes the configuration, builds plain settings, calls one documented function. No science."""
