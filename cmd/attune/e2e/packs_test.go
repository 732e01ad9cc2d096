package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files are a pack's, by path.
type files map[string]string

// writePack lays a pack's files into a folder.
func writePack(tb testing.TB, pack files) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range pack {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// install installs a pack and waits for it.
func (s *service) install(tb testing.TB, pack files) {
	tb.Helper()
	s.must(tb, "", "pack", "install", writePack(tb, pack), "--wait")
}

// wheel is a Python library that does nothing but know its version.
func wheel(tb testing.TB, name, version string) string {
	tb.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	for _, file := range []struct{ path, content string }{
		{name + ".py", fmt.Sprintf("version = %q\n", version)},
		{info + "METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", ""},
	} {
		w, err := archive.Create(file.path)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(file.content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// decoded is the result of an execution.
func decoded(tb testing.TB, result json.RawMessage) map[string]any {
	tb.Helper()
	var value map[string]any
	if err := json.Unmarshal(result, &value); err != nil {
		tb.Fatalf("result %q: %v", result, err)
	}
	return value
}

// opsPack has an action for each way in which an execution can go.
func opsPack() files {
	action := func(runner, entry string, more ...string) string {
		return "runner_type: " + runner + "\nentry_point: " + entry + "\n" + strings.Join(more, "\n") + "\n"
	}
	return files{
		"pack.yaml":           "ref: ops\nversion: 1.0.0\n",
		"actions/echo.yaml":   "ref: echo\n" + action("shell", "echo.sh", "policy: {concurrency: {limit: 1}}"),
		"actions/echo.sh":     "echo \"run $ATTUNE_EXECUTION_ID\"\n",
		"actions/block.yaml":  "ref: block\n" + action("shell", "block.sh", "policy: {concurrency: {limit: 1}}"),
		"actions/block.sh":    "echo begun\nwhile true; do sleep 0.1; done\n",
		"actions/slow.yaml":   "ref: slow\n" + action("shell", "block.sh", "timeout: 1"),
		"actions/fail.yaml":   "ref: fail\n" + action("shell", "fail.sh"),
		"actions/fail.sh":     "echo broken >&2\nexit 3\n",
		"actions/raise.yaml":  "ref: raise\n" + action("python", "raise.py:explode"),
		"actions/raise.py":    "def explode():\n    raise ValueError('no such thing')\n",
		"actions/flood.yaml":  "ref: flood\n" + action("python", "flood.py"),
		"actions/flood.py":    floodCode,
		"actions/reveal.yaml": "ref: reveal\n" + action("python", "reveal.py", "secrets: [canary]"),
		"actions/reveal.py":   revealCode,
	}
}

// floodCode writes 50 MiB: a head and a tail that can be told, and numbered lines between them.
const floodCode = `
import sys
def run(parameters, secrets):
    line = b"x" * 1023 + b"\n"
    sys.stdout.buffer.write(b"HEAD" + line[4:])
    for _ in range(50 * 1024 - 2):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.write(line[:-5] + b"TAIL\n")
    sys.stdout.buffer.flush()
`

// revealCode proves that it has the secret without showing it, and holds it long enough to be looked for.
const revealCode = `
import hashlib, sys, time
def run(parameters, secrets):
    print("holding", flush=True)
    time.sleep(3)
    return {"sha256": hashlib.sha256(secrets["canary"].encode()).hexdigest()}
`
