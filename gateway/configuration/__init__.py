"""What changes while the gateway runs: versioned snapshots in the record, and how every worker comes to hold one."""
