"""The commands of `heliograph`, one file each."""
