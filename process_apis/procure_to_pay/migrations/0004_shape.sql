-- The shape of turns that a task has: those of another release leave it alone (gateway/durable/shapes.toml).
alter table procure_to_pay.task add column shape text not null default '1';
