-- The host that a worker is on, as a hash; empty where it does not say. Two hosts with copies of one data folder have
-- one name, and must not take it from each other.
alter table workers add column host text not null default '';
