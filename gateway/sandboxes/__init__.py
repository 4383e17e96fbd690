"""What the vendors' sandboxes have in common: a server that can misbehave, logs for outsiders, a child process."""
