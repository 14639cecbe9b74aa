"""The document: an event in the form of the Elastic Common Schema."""
