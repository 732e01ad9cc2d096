package containerd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"attune/sandbox/sandboxtest"
)

// TestDocumentStaysSecret looks for what was fed on stdin wherever the host could have kept it, while the run holds it.
func TestDocumentStaysSecret(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) { keepsSecret(t, h, s) })
}

func keepsSecret(t *testing.T, h host, s sandboxtest.Subject) {
	t.Helper()
	canary := []byte("canary-" + rand.Text())
	in := s.Input("canary")
	in.Stdin, in.Grace = canary, time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, says := io.Pipe()
	in.Stdout = says
	var search sync.WaitGroup
	search.Go(func() {
		defer cancel()
		holding := make([]byte, len("holding 33"))
		if _, err := io.ReadFull(said, holding); err != nil || string(holding) != fmt.Sprint("holding ", len(canary)) {
			t.Errorf("it said %q, %v", holding, err)
		}
		record, err := h.client.ContainerService().Get(t.Context(), "canary")
		if err != nil || bytes.Contains(record.Spec.GetValue(), canary) {
			t.Errorf("record: %v, or it has the secret", err)
		}
		for _, dir := range []string{h.config.StateDir, filepath.Dir(h.config.Address)} {
			searchFiles(t, dir, canary)
		}
		searchProcesses(t, canary)
	})
	if exit, err := s.Run(ctx, s.Spec("canary", "hold"), in); err != nil || exit.Code != 143 {
		t.Errorf("%+v, %v", exit, err)
	}
	_ = says.Close()
	search.Wait()
}

func searchProcesses(t *testing.T, canary []byte) {
	t.Helper()
	for _, name := range []string{"environ", "cmdline"} {
		paths, err := filepath.Glob("/proc/[0-9]*/" + name)
		if err != nil || len(paths) == 0 {
			t.Errorf("%d processes, %v", len(paths), err)
		}
		for _, path := range paths {
			// Other processes end meanwhile.
			if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, canary) {
				t.Errorf("%s has the secret", path)
			}
		}
	}
}

func searchFiles(t *testing.T, dir string, canary []byte) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/rootfs/") {
			return nil //nolint:nilerr // other files come and go meanwhile
		}
		if content, err := os.ReadFile(path); err == nil {
			looked++
			if bytes.Contains(content, canary) {
				t.Errorf("%s has the secret", path)
			}
		}
		return nil
	})
	if err != nil || looked == 0 {
		t.Errorf("looked at %d files of %s: %v", looked, dir, err)
	}
}
