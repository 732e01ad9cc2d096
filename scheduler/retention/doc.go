// Package retention keeps history lean. History is the tables finished and attempts; both have one partition a day, by
// the time of submission in UTC, and a default partition for what has no day of its own. Cleaner makes the partitions
// of the days to come and drops old days together with their logs.
//
// It knows nothing of queues, slots or workers: executions that are not over stay, however old they are. Start reading
// at cleaner.go.
package retention
