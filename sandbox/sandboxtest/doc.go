// Package sandboxtest has a Runtime for tests that need no containers, and the suite that every Runtime passes.
//
// It must not know how any Runtime works. Start reading at Suite, then at NewFake.
package sandboxtest
