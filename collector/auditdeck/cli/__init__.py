"""The commands of `auditdeck`, one file each, imported when they are called."""
