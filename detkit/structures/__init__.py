"""What flows out of the models."""
