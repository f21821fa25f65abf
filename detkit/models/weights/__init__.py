"""Loading of checkpoints of any known layout into models, all parameters or none."""
