// Package history checks that the queue kept its contract. Its witness is PostgreSQL's own log of what was committed,
// in the order of the commits. It is for tests.
//
// A Recorder reads the log. Check replays it, commit by commit, and reports every violation of the order, of a limit or
// of the state machine.
//
// The log has transactions in the order of their commits. Those that hold a lock in common also become visible in
// that order, since a lock is released after its transaction became visible. Every rule of Check is about
// transactions with a lock in common, or about what can only make a number smaller. So no good history looks bad.
//
// The package must not know the code of the queue, whose mistakes it looks for: it knows the tables alone.
//
// Start reading at Check.
package history
