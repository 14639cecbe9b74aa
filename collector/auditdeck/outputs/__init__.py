"""Where documents go from the event log: each output reads it with a cursor of its own."""
