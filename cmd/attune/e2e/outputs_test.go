package e2e

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"attune"
	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

// outputPack leaves the same file in each language, and fails once it has.
func outputPack() files {
	return files{
		"pack.yaml":       "ref: left\nversion: 1.0.0\n",
		"actions/py.yaml": "ref: py\nentry_point: leave.py\n",
		"actions/leave.py": "import os\ndef run(parameters, secrets):\n  os.mkdir(os.environ['ATTUNE_OUTPUT'] + '/deep')\n" +
			"  open(os.environ['ATTUNE_OUTPUT'] + '/deep/a b.txt', 'w').write('hello')\n  raise SystemExit(3)\n",
		"actions/js.yaml": "ref: js\nentry_point: leave.js\n",
		"actions/leave.js": "const fs = require('fs'); exports.run = () => { fs.mkdirSync(process.env.ATTUNE_OUTPUT + " +
			"'/deep')\n" +
			"fs.writeFileSync(process.env.ATTUNE_OUTPUT + '/deep/a b.txt', 'hello'); process.exit(3) }\n",
		"actions/sh.yaml":  "ref: sh\nentry_point: leave.sh\n",
		"actions/leave.sh": "mkdir $ATTUNE_OUTPUT/deep; printf hello >\"$ATTUNE_OUTPUT/deep/a b.txt\"; exit 3\n",
		// What is in /tmp and what is handed over count as memory, and do not fit together.
		"actions/big.yaml": "ref: big\nentry_point: big.sh\nresources: {memory: 64Mi, tmp: 48Mi}\n",
		"actions/big.sh":   "head -c 40M /dev/zero >$ATTUNE_OUTPUT/zeros\n",
	}
}

// outputsAreKept: what an action left is beside its log, and in its record.
func outputsAreKept(t *testing.T, s *service) {
	s.install(t, outputPack())
	bucket, objects := s.logBucket(t)
	for _, action := range []string{"py", "js", "sh"} {
		t.Run(action, func(t *testing.T) {
			e := s.await(t, s.submit(t, "left."+action, nil).ID, over)
			want := []attune.OutputFile{{
				Name: "deep/a b.txt", Size: 5, SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
			}}
			if diff := cmp.Diff(want, e.Outputs); diff != "" || e.ExitCode == nil || *e.ExitCode != 3 {
				t.Errorf("it is %s (%s) and has (-want +got):\n%s", e.Status, e.Reason, diff)
			}
			key := logs.ExecutionPrefix("left", action, e.CreatedAt, e.ID) + "output/deep/a b.txt"
			within(t, "the bucket has it", func() bool {
				object, err := objects.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(object)
				return err == nil && string(content) == "hello"
			})
		})
	}
	if e := s.await(t, s.submit(t, "left.big", nil).ID, over); e.Status != attune.StatusCompleted || len(e.Outputs) != 1 ||
		e.Outputs[0].Size != 40<<20 {
		t.Errorf("the big one is %s (%s) with %+v", e.Status, e.Reason, e.Outputs)
	}
}

// logBucket is where the service keeps logs, as its connections.env says.
func (s *service) logBucket(t *testing.T) (string, *minio.Client) {
	t.Helper()
	settings := make(map[string]string)
	for _, setting := range s.client {
		name, value, _ := strings.Cut(setting, "=")
		settings[name] = value
	}
	return settings["ATTUNE_S3_LOG_BUCKET"], storagetest.S3Client(t, s3.Config{
		Endpoint: settings["ATTUNE_S3_ENDPOINT"], AccessKey: settings["AWS_ACCESS_KEY_ID"],
		SecretKey: settings["AWS_SECRET_ACCESS_KEY"],
	})
}
