package containerd_test

import (
	"fmt"
	"testing"
)

// BenchmarkRun is one sandbox around a program that ends at once: all of its time is the cost of the sandbox.
func BenchmarkRun(b *testing.B) {
	h := newHost(b)
	s := h.subject(h.open(b))
	for n := 0; b.Loop(); n++ {
		exit, err := s.Run(b.Context(), s.Spec(fmt.Sprint("run-", n), "exit", "0"), s.Input(fmt.Sprint("run-", n)))
		if err != nil || exit.Code != 0 {
			b.Fatalf("%+v, %v", exit, err)
		}
	}
}
