"""What the kernel's TCP state machine says, and what counts as a connection."""
