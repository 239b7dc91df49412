"""GraphCast: the network of Lam et al. (2023), Science 382, equal to its reference, for our checkpoints and theirs."""
