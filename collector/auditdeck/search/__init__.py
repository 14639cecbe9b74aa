"""Finding events as ausearch(8) does, in the event log or in logs of auditd."""
