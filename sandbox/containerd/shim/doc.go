// Package shim is the program attune-shim: one process that makes and keeps all sandboxes of a worker.
//
// To containerd it is a shim: the process that keeps a container while containerd and the worker come and go. The
// worker starts it once. The containers of runc are made with runc's library, and those of gVisor with its command.
//
//	attune-shim serve -socket PATH -root DIR -roots DIR
//	                                          by the worker, which holds the other end of stdin for as long as it lives
//	attune-shim … -id ID -bundle DIR delete   by containerd, after each container, and when the shim is gone
//	attune-shim -info                         by containerd, once
//	attune-shim keep FILE COMMAND …           by itself, as the parent of gVisor's processes
//	attune-shim init                          by itself, inside what becomes a container of runc
//
// Start at serve.go, which runs the program; service.go answers containerd. A container is made in container.go, which
// takes its root file system from roots.go and its streams from streams.go; lifecycle.go starts, signals and deletes
// it. The container runtime is behind engine, which has two implementations: runc.go and runsc.go. The parts of the
// program that must run before Go does are in early and deleted.
//
// The package must not know the worker, or what a sandbox is for: it knows containers as containerd describes them.
package shim
