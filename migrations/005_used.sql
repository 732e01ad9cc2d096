-- A bound for those who look at what is taken: no slot of the worker with a larger number is. Admission raises it in the
-- statement that gives such a slot; Register and tidy lower it, under the admission lock, to what they see. A process that was
-- started before it came to be does not raise it, so that its worker keeps the default, which bounds nothing.
alter table workers add column used integer not null default 2147483647;
