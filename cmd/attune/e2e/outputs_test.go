package e2e

import (
	"encoding/json"
	"io"
	"slices"
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
		"actions/big.yaml": "ref: big\nentry_point: big.sh\nresources: {memory: 64Mi}\n",
		// Files are put in the place of others, as editors do.
		"actions/big.sh": "head -c 40M /dev/zero >$ATTUNE_OUTPUT/zeros\n" +
			"echo '{\"n\": 1}' >/tmp/result; mv /tmp/result $ATTUNE_RESULT; sed -i s/1/2/ $ATTUNE_RESULT\n",
		"actions/names.yaml": "ref: names\nentry_point: names.py\n",
		"actions/names.py": "import os\nout = os.fsencode(os.environ['ATTUNE_OUTPUT'])\ndef run(parameters, secrets):\n" +
			"  for name in (b'caf\\xe9.csv', b'a\\nb', *[b'..\\\\%d' % i for i in range(30)], b'good'):\n" +
			"    open(os.path.join(out, name), 'wb').close()\n",
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
		e.Outputs[0].Size != 40<<20 || string(e.Result) != `{"n":2}` {
		t.Errorf("the big one is %s (%s) with %+v and %s", e.Status, e.Reason, e.Outputs, e.Result)
	}
	namesAreSaid(t, s)
}

// namesAreSaid: what is not kept is named, with the reason.
func namesAreSaid(t *testing.T, s *service) {
	t.Helper()
	e := s.await(t, s.submit(t, "left.names", nil).ID, over)
	if e.Status != attune.StatusCompleted || len(e.Outputs) != 1 || e.Outputs[0].Name != "good" {
		t.Errorf("it is %s (%s) with %+v", e.Status, e.Reason, e.Outputs)
	}
	said := s.page(t, e.ID, "stderr", 0, 1<<16).Content
	for _, want := range []string{
		`attune: not kept: ..\\0: its name has a backslash`, "attune: not kept: 12 more, which manifest.json names",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("stderr lacks %q:\n%s", want, said)
		}
	}
	bucket, objects := s.logBucket(t)
	key := logs.ExecutionPrefix("left", "names", e.CreatedAt, e.ID) + "manifest.json"
	var manifest logs.Manifest
	within(t, "the bucket has the manifest", func() bool {
		object, err := objects.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return json.NewDecoder(object).Decode(&manifest) == nil
	})
	last := []attune.NotKept{
		{Name: `a\nb`, Reason: "its name has a control character"}, {Name: `caf\xe9.csv`, Reason: "its name is not UTF-8"},
	}
	if n := len(manifest.NotKept); n != 32 || !slices.Equal(manifest.NotKept[n-2:], last) {
		t.Errorf("the manifest has %+v", manifest.NotKept)
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
