"""auditdeck: who opened which outbound TCP connections, from the Linux kernel's audit subsystem."""

__version__ = "0.1.0"
