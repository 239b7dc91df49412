"""What tensors mean: layouts, states, normalisation, and the one crossing between xarray and torch."""
