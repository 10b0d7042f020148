"""The command-line program: starts the embedded stack and runs the main job on it."""
