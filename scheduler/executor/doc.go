// Package executor takes one claim from its document to its outcome: it is the scheduler.Executor that runs sandboxes.
//
//	Prepare   look up action, image and secrets; encode the document
//	Run       open the log, take a sandbox from the pool or make one, deliver the document, judge the exit,
//	          put log, result and manifest into the spool
//	Close     forget the sandbox, store the log: the outcome is recorded and the slot free by then
//	Recover   after a crash: go on with what runs, give up what cannot go on, release what has not started
//	Maintain  store the logs that stayed in the spool, remove orphaned sandboxes
//
// The package knows the sandbox only as package sandbox describes it, and nothing of queues, tickets and policies: the
// worker asks for an attempt and is told its outcome. An attempt's state is its struct; nothing is kept beside it.
//
// Start reading at Executor.Prepare and attempt.Run.
package executor
