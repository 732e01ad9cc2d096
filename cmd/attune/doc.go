// Command attune is the whole of Attune in one binary: the service, its workers, and the client that talks to them.
// It wires the rooms together, and is the only reader of the environment. The client half builds on macOS and
// Windows, too.
//
// It must not know SQL, nor what is inside a sandbox.
//
// Start reading in main.go, which lists the commands. up.go, server.go and worker.go are the service; the client
// commands have a file for each noun, and talk HTTP through internal/client.
package main
