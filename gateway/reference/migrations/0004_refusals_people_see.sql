-- `asked_at`: a person had the list read again for it; `failed_at`: it was told again after that. `let_be_at`: a person said
-- why it need not be taken, until it is told otherwise.
alter table reference.refusal
    add column asked_at timestamptz, add column failed_at timestamptz, add column let_be_at timestamptz;
