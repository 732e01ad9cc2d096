// Package scheduler decides which execution runs when, and takes each from submission to its terminal state.
//
// Queue is the line itself: it lives in PostgreSQL, and every change of an execution's state is one statement of it. Any
// number of processes may use it on one database. Worker takes executions from the queue and runs them in sandboxes of
// its host.
//
// Two rules carry the order and the limits; docs/scheduling.md has the argument:
//
//   - A ticket is drawn under the queue's advisory lock, which is held until the submission has committed. Within a queue,
//     the order of tickets is therefore the order of commits.
//   - Slots are given only under the admission lock, by a statement whose snapshot is younger than the lock. Everything
//     else only frees them. So no limit is exceeded, and no head of a queue is passed over.
package scheduler
