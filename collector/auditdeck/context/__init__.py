"""What is known beside the events: this host, its users, addresses, processes and containers."""
