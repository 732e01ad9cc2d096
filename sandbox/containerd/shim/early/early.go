//go:build cgo

// Package early takes over where attune-shim is what becomes a container. It does so before the packages of the rest of
// the program are initialized, which the container would wait for: Go initializes packages in the order of their paths,
// each after its imports.
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
