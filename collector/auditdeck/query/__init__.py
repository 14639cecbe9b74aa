"""Questions to the event log and the local store."""
