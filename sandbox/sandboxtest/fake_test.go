package sandboxtest_test

import (
	"strings"
	"testing"

	"attune/sandbox/sandboxtest"
	"attune/sandbox/sandboxtest/probe"
)

func TestFake(t *testing.T) {
	t.Parallel()
	sandboxtest.Suite(t, func(*testing.T) sandboxtest.Subject {
		return sandboxtest.Subject{
			Runtime: sandboxtest.NewFake(probe.Run), ImageDigest: "sha256:" + strings.Repeat("0", 64),
		}
	})
}
