// Package sandbox says what a sandbox is: one process, isolated from the host, that runs one execution and leaves
// nothing behind. It holds plain types only, so that the scheduler can use sandboxes without compiling what makes them.
//
// Start at Runtime, which makes sandboxes, and Sandbox, which runs one execution. Spec says what a sandbox is made of,
// Input what an execution gives it, and Exit how it ended. Pool keeps sandboxes ready before they are needed.
//
// The package must not know containerd, control groups or networks: sandbox/containerd implements Runtime with them,
// sandbox/hostcheck looks at what a host can do, and sandbox/sandboxtest has a fake and the suite that every
// implementation passes.
package sandbox
