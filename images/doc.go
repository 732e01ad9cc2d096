// Package images holds what every pack image starts from: the definition of the base, and the runners that call an
// action's code inside its sandbox.
//
// It knows the vocabulary alone: not how images are built, and not who runs them.
//
// Start reading at Command, then with runner/run.py: what the sandbox reads on stdin, calls and leaves.
package images
