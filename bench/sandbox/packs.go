package main

import (
	"os"
	"path/filepath"
)

// language is one of the three, with an action that does next to nothing.
type language struct{ name, file, code string }

var languages = []language{
	{"python", "action.py", "import datetime\nimport re\nimport urllib.parse\n\n\ndef run(parameters, secrets):\n    return parameters[\"n\"] + 1\n"},
	{"nodejs", "action.mjs", "import 'node:url';\n\nexport const run = ({ parameters }) => parameters.n + 1;\n"},
	{"shell", "action.sh", "echo $((PARAM_n + 1)) >\"$ATTUNE_RESULT\"\n"},
}

// kept is how many sandboxes the warm action of each language has.
const kept = "4"

// writePack writes a pack with three actions for each language: one with sandboxes that wait, one without, and one whose use
// decides; and one that runs until it is cancelled.
func writePack(dir string) error {
	files := map[string]string{
		"pack.yaml":            "ref: bench\nversion: 1.0.0\n",
		"actions/holding.yaml": "ref: holding\nentry_point: holding.sh\nwarm: 0\nresources: {memory: 32Mi}\n",
		"actions/holding.sh":   "sleep 3000\n",
	}
	for _, l := range languages {
		files["actions/"+l.file] = l.code
		for kind, warm := range map[string]string{"warm": "warm: " + kept + "\n", "cold": "warm: 0\n", "used": ""} {
			ref := l.name + "_" + kind
			files["actions/"+ref+".yaml"] = "ref: " + ref + "\nentry_point: " + l.file + "\n" + warm +
				"parameters: {type: object, properties: {n: {type: integer}}}\n"
		}
	}
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
