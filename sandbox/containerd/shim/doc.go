// Package shim is the program attune-shim: one process that keeps all sandboxes of a worker that runc makes.
//
// To containerd it is a shim: the process that keeps a container while containerd and the worker come and go. The
// worker starts it once. It makes containers with runc's library, and the only process that it starts for a container
// is the one that becomes the container.
//
//	attune-shim serve -socket PATH -root DIR -roots DIR
//	                                          by the worker, which holds the other end of stdin for as long as it lives
//	attune-shim … -id ID -bundle DIR delete   by containerd, after each container, and when the shim is gone
//	attune-shim -info                         by containerd, once
//	attune-shim init                          by itself, inside what becomes a container
//
// Start at serve.go, which runs the program; service.go answers containerd. A container is made in container.go, which
// takes its root file system from roots.go, its streams from streams.go and its process from process.go; it is started,
// signaled and deleted in lifecycle.go. The programs that must run before Go does are in early and deleted.
//
// The package must not know the worker, or what a sandbox is for: it knows containers as containerd describes them.
package shim
