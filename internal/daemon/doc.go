// Package daemon runs the PostgreSQL, MinIO and containerd that belong to one data folder, as supervised children.
//
// Start makes the ones that Config asks for and returns when all of them serve; Close ends them in order. In between, a
// daemon that dies is started again on the same address.
//
// # Who is ours
//
// The daemons write to files and live in process groups of their own, so they outlive a crash of Attune. The next Start
// on the same folder ends what it finds there and starts anew: data survives, and so do containerd's shims with the
// containers they hold, because only containerd itself is told to end.
//
// What is found is decided by the kernel, not by files that may be stale: a process is ours when its working directory
// is the daemon's folder and its name is the daemon's. A number that a stranger has inherited can therefore never be
// mistaken for one of ours, and a daemon that was started a moment before a crash cannot be missed.
package daemon
