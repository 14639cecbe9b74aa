"""The running collector: from the kernel to the event log."""
