-- An execution is admitted and begun with one commit; that its code has begun is written down a moment later. So one that is
-- to be stopped may stand here without a start.
alter table slots drop constraint slots_check, add constraint slots_check check (case status
    when 'free' then true
    when 'scheduled' then started_at is null and stop_reason = ''
    when 'running' then started_at is not null and stop_reason = ''
    when 'canceling' then stop_reason <> ''
    else false end
    and (status = 'free' or num_nulls(queue_id, ticket, attempt, action, pack, pack_version, installation_id, image_digest,
        parameters, created_at, queued_at, scheduled_at) = 0));

-- It bounded what an admission for few looked at, which is no more.
alter table workers drop column used;
