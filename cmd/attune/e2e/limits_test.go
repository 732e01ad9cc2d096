package e2e

import (
	"testing"

	"attune"
)

// limitsPack runs into its limits in every language, each of which says so in its own words.
func limitsPack() files {
	small := "\nresources: {tmp: 2Mi, pids: 24, memory: 64Mi}\n"
	return files{
		"pack.yaml": "ref: limits\nversion: 1.0.0\n",
		// Bytes run out, and the exception passes through a library's own.
		"actions/py-bytes.yaml": "ref: py-bytes\nentry_point: bytes.py" + small,
		"actions/bytes.py": `def run(parameters, secrets):
  try:
    with open('/tmp/x', 'wb') as file: file.write(bytes(8 << 20))
  except OSError as error:
    open('/tmp/x', 'wb').close()
    raise RuntimeError('cannot keep it') from error
`,
		// Files run out, without an exception.
		"actions/py-files.yaml": "ref: py-files\nentry_point: files.py" + small,
		"actions/files.py": `import sys
try:
  for n in range(100000): open(f'/tmp/{n}', 'w').close()
except OSError: sys.exit(4)
`,
		"actions/js-bytes.yaml": "ref: js-bytes\nentry_point: bytes.js" + small,
		"actions/bytes.js":      "exports.run = () => require('fs').writeFileSync('/tmp/x', Buffer.alloc(8 << 20))\n",
		"actions/sh-bytes.yaml": "ref: sh-bytes\nentry_point: bytes.sh" + small,
		"actions/bytes.sh":      "head -c 8M /dev/zero >/tmp/x\n",
		"actions/sh-fine.yaml":  "ref: sh-fine\nentry_point: fine.sh" + small,
		"actions/fine.sh":       "head -c 8M /dev/zero >/tmp/x; true\n",
		"actions/py-pids.yaml":  "ref: py-pids\nentry_point: pids.py" + small,
		"actions/pids.py": "import subprocess\ndef run(parameters, secrets):\n" +
			"  return len([subprocess.Popen(['sleep', '60']) for _ in range(100)])\n",
		"actions/py-oom.yaml": "ref: py-oom\nentry_point: oom.py" + small,
		"actions/oom.py":      "def run(parameters, secrets): return len(bytearray(1 << 30))\n",
		"actions/py-own.yaml": "ref: py-own\nentry_point: own.py" + small,
		"actions/own.py":      "def run(parameters, secrets): raise OSError(13, 'not allowed')\n",
	}
}

// limitsAreReasons: what a run has run into is its reason, where it failed, and the record has what it took.
func limitsAreReasons(t *testing.T, s *service) {
	s.install(t, limitsPack())
	for action, want := range map[string]struct {
		reason    attune.Reason
		errorType string
	}{
		"py-bytes": {attune.ReasonDisk, "RuntimeError"},
		"py-files": {attune.ReasonDisk, ""},
		"js-bytes": {attune.ReasonDisk, "Error"},
		"sh-bytes": {attune.ReasonDisk, ""},
		"sh-fine":  {"", ""},
		"py-pids":  {attune.ReasonPids, "BlockingIOError"},
		"py-oom":   {attune.ReasonOutOfMemory, ""},
		"py-own":   {attune.ReasonException, "PermissionError"},
	} {
		t.Run(action, func(t *testing.T) {
			e := s.await(t, s.submit(t, "limits."+action, nil).ID, over)
			errorType := ""
			if e.Failure != nil {
				errorType = e.Failure.ErrorType
			}
			if e.Reason != want.reason || errorType != want.errorType ||
				(e.Status == attune.StatusCompleted) != (want.reason == "") {
				t.Errorf("ended as %s for %q with %q, want %q with %q", e.Status, e.Reason, errorType, want.reason, want.errorType)
			}
			if e.Usage == nil || e.Usage.CPUSeconds <= 0 || e.Usage.PeakMemoryBytes <= 0 || e.Usage.PeakMemoryBytes > 80<<20 ||
				e.Usage.Isolation == "" {
				t.Errorf("it took %+v", e.Usage)
			}
		})
	}
}
