//go:build cgo

// Package early does what attune-shim does most often before the rest of the program has been set up, which takes longer than
// either: Go sets packages up in the order of their paths, and those that this one needs before it.
package early

import (
	"os"

	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // makes the namespaces, before anything of Go runs
)

func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		libcontainer.Init()
	}
}
