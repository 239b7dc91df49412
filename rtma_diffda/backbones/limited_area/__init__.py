"""Limited-area graph networks (Neural-LAM), with boundary nodes for global states."""
