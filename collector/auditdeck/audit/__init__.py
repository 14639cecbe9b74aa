"""What the kernel's audit subsystem says: its socket, rules, records and events."""
