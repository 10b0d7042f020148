"""HTTP towards receivers."""
