"""The built-in sample dataset: synthetic images and a video with exact annotations."""
