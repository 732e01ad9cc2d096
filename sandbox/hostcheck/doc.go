// Package hostcheck looks at what a host can do for sandboxes, and says how to mend what it lacks.
//
// Start at Diagnose, which `attune doctor` prints, and at Look, by which a worker refuses a host that cannot keep a
// sandbox's promises. Each check is a method in host.go or runtimes.go that returns one Check. The package changes
// nothing on the host, and must not know how sandboxes are made.
package hostcheck
