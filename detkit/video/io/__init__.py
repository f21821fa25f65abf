"""Reading and writing of videos: containers, frames, timestamps, audio, output files."""
