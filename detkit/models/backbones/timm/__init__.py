"""Any model of timm as a backbone: created, its feature levels found, its checkpoints read."""
