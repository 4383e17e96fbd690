"""The record: PostgreSQL pool and transactions, migrations, named queries, the event log and the audit trail."""
