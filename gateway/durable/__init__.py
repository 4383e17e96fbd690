"""Work that survives its worker: DBOS queues, numbered worker slots, enqueueing inside a caller's transaction."""
