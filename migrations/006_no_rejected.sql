-- A submission that a policy rejects leaves no row. No statement has ever written this status, so the rows there are need
-- no check.
alter table finished
    drop constraint finished_status_check,
    add constraint finished_status_check
        check (status in ('completed', 'failed', 'timeout', 'cancelled', 'abandoned')) not valid;
