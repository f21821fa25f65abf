"""Video in and out: containers, frames, times, audio, and the files that are written."""
