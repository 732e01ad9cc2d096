// Package daemon runs the PostgreSQL, MinIO and containerd that belong to one data folder, as supervised children.
//
// Start makes the ones that Config asks for and returns when all of them serve; Close ends them in order. In between, a
// daemon that dies is started again on the same address.
//
// # Which processes are ours
//
// The daemons write to files and live in process groups of their own, so they outlive a crash of Attune. The next Start
// on the same folder ends what it finds there and starts anew: data survives, and so do containerd's shims with the
// containers they hold, because only containerd itself is told to end.
//
// The kernel says which processes these are, not a pid file that may be stale: a process is ours when it has the
// daemon's name and working directory. A reused pid is never mistaken for a daemon, and a daemon that was started just
// before a crash is found.
package daemon
