// Package daemon runs the PostgreSQL, MinIO and containerd that belong to one data folder, as supervised children.
//
// Start starts those that Config asks for and returns when all of them serve; Close ends them in order. In between, a
// daemon that dies is started again on the same address.
//
// The package must not know what the daemons are used for. Start reading at Start, then in child.go, which supervises
// one daemon, and in its file: postgres.go, minio.go, containerd.go.
//
// # Which processes are ours
//
// The daemons write to files and live in process groups of their own, so they outlive a crash of Attune. The next Start
// on the same folder ends what it finds there and starts anew: data survives, and so do containerd's shims with the
// containers they hold, because only containerd itself is asked to end.
//
// A process is ours when its working directory is the daemon's folder and its name is the daemon's. The kernel says so,
// not a file that may be stale. So a process id that was given to another process is never mistaken for one of ours,
// and a daemon that was started a moment before a crash is not missed.
package daemon
