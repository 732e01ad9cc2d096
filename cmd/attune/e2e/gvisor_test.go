package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"attune"
)

// guestPack says in each language what kernel it runs on, and leaves a file.
func guestPack() files {
	const guest = "\nruntime: runsc\nparameters: {type: object, properties: {name: {type: string}}}\n"
	return files{
		"pack.yaml":       "ref: guest\nversion: 1.0.0\n",
		"actions/py.yaml": "ref: py\nentry_point: kernel.py" + guest,
		"actions/kernel.py": "import os, socket\ndef run(parameters, secrets):\n" +
			"  socket.gethostbyname(socket.gethostname())\n" +
			"  open(os.environ['ATTUNE_OUTPUT'] + '/note', 'w').write(parameters['name'])\n" +
			"  print(parameters['name'])\n  return os.uname().release\n",
		"actions/js.yaml": "ref: js\nentry_point: kernel.js" + guest,
		"actions/kernel.js": "const fs = require('fs'), os = require('os')\nexports.run = ({parameters}) => {\n" +
			"  fs.writeFileSync(process.env.ATTUNE_OUTPUT + '/note', parameters.name)\n" +
			"  console.log(parameters.name)\n  return os.release()\n}\n",
		"actions/sh.yaml": "ref: sh\nentry_point: kernel.sh" + guest,
		"actions/kernel.sh": "printf %s \"$PARAM_name\" >$ATTUNE_OUTPUT/note\necho \"$PARAM_name\" >/dev/stdout\n" +
			"printf '\"%s\"' \"$(uname -r)\" >$ATTUNE_RESULT\n",
	}
}

// runsInGVisor: an action that asks for gVisor has its kernel, and all else as with runc.
func runsInGVisor(t *testing.T, s *service) {
	s.install(t, guestPack())
	host, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"py", "js", "sh"} {
		t.Run(action, func(t *testing.T) {
			e := s.await(t, s.submit(t, "guest."+action, map[string]any{"name": "gVisor"}).ID, over)
			var kernel string
			if err := json.Unmarshal(e.Result, &kernel); err != nil || e.Status != attune.StatusCompleted {
				t.Fatalf("it is %s (%s) with %s", e.Status, e.Reason, e.Result)
			}
			if kernel == "" || kernel == strings.TrimSpace(string(host)) {
				t.Errorf("its kernel is %q", kernel)
			}
			if log := s.must(t, "", "logs", e.ID); log != "gVisor\n" {
				t.Errorf("it printed %q", log)
			}
			if len(e.Outputs) != 1 || e.Outputs[0].Name != "note" || e.Outputs[0].Size != int64(len("gVisor")) {
				t.Errorf("it left %+v", e.Outputs)
			}
		})
	}
}
