-- Most of the log are stock lines that changed, which are read in delivery order, and by correlation, but never by
-- aggregate: they stay out of that index, the one whose keys come in no order.
drop index store.event_aggregate;
create index event_aggregate on store.event (tenant, aggregate, aggregate_version) where type <> 'availability.changed';
