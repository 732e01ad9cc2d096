package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// language is one of the three, with an action that does next to nothing.
type language struct {
	// suffix is behind the names of its lines. Those of Python have none.
	name, suffix, file, code string
}

var languages = []language{
	{"python", "", "action.py", `import datetime
import re
import urllib.parse


def run(parameters, secrets):
    return parameters["n"] + 1
`},
	{"nodejs", "_nodejs", "action.mjs", `import 'node:url';

export const run = ({ parameters }) => parameters.n + 1;
`},
	shell,
}

var shell = language{"shell", "_shell", "action.sh", "echo $((PARAM_n + 1)) >\"$ATTUNE_RESULT\"\n"}

// Each language has three actions: one that keeps sandboxes ready, one that does not, and one whose use decides.
func (l language) warm() string { return "bench." + l.name + "_warm" }
func (l language) cold() string { return "bench." + l.name + "_cold" }
func (l language) used() string { return "bench." + l.name + "_used" }

// with says what is measured where `attune up` has other flags than usual.
func (l language) with(flags []string) string { return strings.Join(append([]string{l.name}, flags...), " ") }

// kept is how many sandboxes the first of them keeps ready.
const kept = 4

// writePack writes a pack with the actions of all languages, and one that runs until it is cancelled.
func writePack(dir string) error {
	files := map[string]string{
		"pack.yaml":            "ref: bench\nversion: 1.0.0\n",
		"actions/holding.yaml": "ref: holding\nentry_point: holding.sh\nwarm: 0\nresources: {memory: 32Mi}\n",
		"actions/holding.sh":   "sleep 3000\n",
	}
	for _, l := range languages {
		files["actions/"+l.file] = l.code
		for action, warm := range map[string]string{
			l.warm(): fmt.Sprintf("warm: %d\n", kept), l.cold(): "warm: 0\n", l.used(): "",
		} {
			files["actions/"+action+".yaml"] = actionFile(action, l.file, warm)
		}
	}
	return writeFiles(dir, files)
}

// actionFile is the description of an action; settings are further lines of it.
func actionFile(ref, entryPoint, settings string) string {
	return "ref: " + ref + "\nentry_point: " + entryPoint + "\n" + settings +
		"parameters: {type: object, properties: {n: {type: integer}}}\n"
}

func writeFiles(dir string, files map[string]string) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
