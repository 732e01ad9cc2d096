-- One check in place of four. PostgreSQL prepares each anew for every statement that writes a slot, which is most of what a
-- statement about a few slots costs, and evaluates each for every row.
alter table slots
    drop constraint slots_status_check, drop constraint slots_check, drop constraint slots_check1, drop constraint slots_check2,
    add constraint slots_check check (case status
        -- What a free slot had is left as it was: freeing is then a small change, and whoever frees reads it from the same row.
        when 'free' then true
        when 'scheduled' then started_at is null and stop_reason = ''
        when 'running' then started_at is not null and stop_reason = ''
        when 'canceling' then started_at is not null and stop_reason <> ''
        else false end
        and (status = 'free' or num_nulls(queue_id, ticket, attempt, action, pack, pack_version, installation_id, image_digest,
            parameters, created_at, queued_at, scheduled_at) = 0));

-- Every end of an execution pays for each index of the history. A listing by pack is one by the actions of the pack.
drop index finished_by_pack;
