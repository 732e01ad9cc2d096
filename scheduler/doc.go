// Package scheduler is the queue: it decides which execution runs when, and takes each from submission to its terminal
// state.
//
// Queue lives in PostgreSQL, and every change of an execution's state is one statement. Any number of processes may
// use it on one database. Worker takes executions from the queue and has them run on its host. Every statement that
// writes policies, gates, starts, queues, heads, waiting, delayed, slots, workers, finished or attempts is in this
// folder or in retention, which cleans up history: a test looks for others. storage reads these tables.
//
// Two rules carry the order and the limits; docs/scheduling.md has the argument:
//
//   - A ticket is drawn under the queue's advisory lock, which is held until the submission has committed. Within a
//     queue, the order of tickets is therefore the order of commits.
//   - Slots are given only under the admission lock, by a statement whose snapshot is younger than the lock. Everything
//     else only frees them. So no limit is exceeded, and no head of a queue is passed over.
//
// The package must not know how an execution is asked for (api) or how the process is configured (cmd); nor what a
// sandbox, an image or an object in S3 is: those are for the room executor behind it.
//
// Start reading with the tables in migrations/002_scheduling.sql and with locks.go, then follow an execution:
// submit.go and enqueue.go, admit.go, worker.go. Policies enter through policy.go and become gates in gate.go; why.go
// explains a wait.
package scheduler
