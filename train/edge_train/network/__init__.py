"""Networks: the table of backbones, building, weights, checkpoints."""
