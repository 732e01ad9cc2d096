// Package containerd is the sandbox.Runtime of production: each sandbox is a container of containerd.
//
// Start at New, which refuses a host that cannot keep a sandbox's promises. Then read create.go (a sandbox is made),
// run.go (it serves an execution), attach.go (a later process goes on with it) and teardown.go (it is removed). The OCI
// specification is a pure function in spec.go.
//
// The packages below know nothing of this one: cgroup reads and sets control groups, network connects sandboxes to the
// internet, and shim is the program attune-shim, which makes and keeps the containers. Nothing here knows the
// scheduler, the image builder or storage.
package containerd
