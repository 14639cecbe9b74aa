"""The formats in which an output writes a document."""
