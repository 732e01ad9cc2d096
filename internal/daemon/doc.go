// Package daemon runs the PostgreSQL, MinIO and containerd that belong to one data folder, as supervised children.
//
// Start starts those that Config asks for and returns when all of them serve; Close ends them in order. In between, a
// daemon that dies is started again on the same address.
//
// The package must not know what the daemons are used for. Start reading at Start, then in child.go, which supervises
// one daemon, and in its file: postgres.go, minio.go, containerd.go.
//
// # Who is ours
//
// The daemons write to files and live in process groups of their own, so they outlive a crash of Attune. The next Start
// on the same folder ends what it finds there and starts anew: data survives, and so do containerd's shims with the
// containers they hold, because only containerd itself is told to end.
//
// The kernel says what is ours, not files that may be stale: a process whose working directory is the daemon's folder
// and whose name is the daemon's. So a process that has inherited a number is never mistaken for ours, and a daemon that
// was started a moment before a crash is never missed.
package daemon
