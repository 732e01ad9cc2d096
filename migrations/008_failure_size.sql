-- Whoever writes a failure cuts its texts before: 8 KiB each for error and error_type, 64 KiB for the traceback. JSON may
-- take six bytes for one. What older versions have written is not checked.
alter table finished
    add constraint finished_failure_size check (octet_length(failure::text) <= 524288) not valid;
alter table attempts
    add constraint attempts_failure_size check (octet_length(failure::text) <= 524288) not valid;
