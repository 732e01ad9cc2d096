-- Lists what a worker holds, in the order of tickets.
select {{claim}} from slots where worker = @worker and status <> 'free' order by ticket
