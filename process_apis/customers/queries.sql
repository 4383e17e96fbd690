-- name: next_catalogue_version
insert into customers.catalogue as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1
returning version

-- name: catalogue_version
select version from customers.catalogue where tenant = $1

-- name: customers_by_number
select customer, number, attributes, version from customers.customer where tenant = $1 and number = any($2::text[])

-- name: customer_by_id
select customer, number, attributes, version from customers.customer where tenant = $1 and customer = $2

-- name: customer_by_code
select c.customer, c.number, c.attributes, c.version
from customers.code x join customers.customer c using (tenant, customer)
where x.tenant = $1 and x.source = $2 and x.code = $3

-- name: customers_by_code
select code, customer from customers.code where tenant = $1 and source = $2 and code = any($3::text[])

-- name: numbers_by_code
select x.code, c.number from customers.code x join customers.customer c using (tenant, customer)
where x.tenant = $1 and x.source = $2 and x.code = any($3::text[])

-- name: coded_numbers
-- Which systems have a code for each of these customers.
select c.number, coalesce(array_agg(x.source) filter (where x.source is not null), '{}') as sources
from customers.customer c left join customers.code x using (tenant, customer)
where c.tenant = $1 and c.number = any($2::text[]) group by c.number

-- name: unlisted
-- Customers of a source by their id, none of whose codes there is listed.
select c.customer, c.number from customers.customer c
where c.tenant = $1 and ($4::text is null or c.customer > $4)
  and exists (select from customers.code x where (x.tenant, x.customer, x.source) = ($1, c.customer, $2))
  and not exists (
    select from customers.code x where (x.tenant, x.customer, x.source) = ($1, c.customer, $2) and x.code = any($3::text[]))
order by c.customer limit $5

-- name: customer_page
select customer, number, attributes, version from customers.customer
where tenant = $1 and ($2::text is null or customer > $2) and ($3::text is null or attributes ->> 'parent' = $3)
order by customer limit $4

-- name: write_customers
insert into customers.customer as c (tenant, customer, number, attributes, version, changed_at)
select $1, u.customer, u.number, u.attributes, 1, $2
from unnest($3::text[], $4::text[], $5::jsonb[]) as u (customer, number, attributes)
on conflict (tenant, customer) do update
set attributes = excluded.attributes, version = c.version + 1, changed_at = excluded.changed_at
returning customer, number, version

-- name: codes_of
select source, code from customers.code where tenant = $1 and customer = $2 order by source, code

-- name: add_codes
insert into customers.code (tenant, source, code, customer)
select $1, u.source, u.code, u.customer from unnest($2::text[], $3::text[], $4::text[]) as u (source, code, customer)
