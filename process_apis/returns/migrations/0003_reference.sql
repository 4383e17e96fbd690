-- The number under which its partner asked for a return; none where somebody else did.
alter table returns.return_order add column reference text;
