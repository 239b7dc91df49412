"""Where things are: grids, projections, regions, distances, land and terrain, regridding, wind rotation."""
