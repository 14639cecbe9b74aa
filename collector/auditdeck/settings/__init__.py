"""The settings: their model, and where they are read from."""
