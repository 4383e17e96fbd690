-- Few at any time: what reconciliation asks for.
create index task_unposted on order_to_ship.task (target) where kind = 'shipment_posting' and state <> 'done';
