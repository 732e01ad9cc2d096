//go:build cgo

// Command attune-shim keeps the containers of one worker, so that they outlive it. Package shim says how the worker and
// containerd talk to it. It is a program of its own because it links runc, in C, and because it is the first process of
// each container until the action's takes its place: it must be small.
package main

import (
	"os"

	"attune/sandbox/containerd/shim"
	_ "attune/sandbox/containerd/shim/early" // takes over in what becomes a container
)

func main() { os.Exit(shim.Main(os.Args[1:])) }
