"""Config fields inferred from the dataset and the backbone, or compared with them."""
