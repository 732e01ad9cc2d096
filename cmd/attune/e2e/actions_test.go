package e2e

import (
	"encoding/json"
	"testing"

	"attune"
)

// actionPack has actions whose language or sandbox could get in the way of what they mean.
func actionPack() files {
	id := "parameters: {type: object, properties: {id: {type: integer}}}\n"
	return files{
		"pack.yaml":        "ref: means\nversion: 1.0.0\n",
		"actions/sh.yaml":  "ref: sh\nentry_point: id.sh\n" + id,
		"actions/id.sh":    "echo \"$PARAM_id\"\necho \"$PARAM_id\" >$ATTUNE_RESULT\n",
		"actions/js.yaml":  "ref: js\nentry_point: id.js\n" + id,
		"actions/id.js":    "exports.run = ({parameters: {id}}) => { console.log(String(id)); return id }\n",
		"actions/py.yaml":  "ref: py\nentry_point: id.py\n" + id,
		"actions/id.py":    "def run(parameters, secrets):\n  print(parameters['id'])\n  return parameters['id']\n",
		"actions/end.yaml": "ref: end\nentry_point: end.sh\ntimeout: 1\n",
		"actions/end.sh":   "trap 'echo cleaned; exit 143' TERM\nsleep 600\n",
		"actions/net.yaml": "ref: net\nentry_point: net.js\n",
		"actions/net.js":   "exports.run = async () => (await fetch('http://api.example/')).status\n",
	}
}

// actionsMeanWhatTheySay: integers keep their digits, a trap runs while a command is in the foreground, and what fails
// for want of a network says so.
func actionsMeanWhatTheySay(t *testing.T, s *service) {
	s.install(t, actionPack())
	const id = "1234567890123456789"
	for _, language := range []string{"sh", "js", "py"} {
		e := s.submit(t, "means."+language, map[string]any{"id": json.Number(id)})
		e = s.await(t, e.ID, over)
		if stdout := s.page(t, e.ID, "stdout", 0, 100).Content; stdout != id+"\n" || string(e.Result) != id {
			t.Errorf("%s: stdout is %q, result %s", language, stdout, e.Result)
		}
	}
	e := s.await(t, s.submit(t, "means.end", nil).ID, over)
	if stdout := s.page(t, e.ID, "stdout", 0, 100).Content; e.Status != attune.StatusTimeout || *e.ExitCode != 143 ||
		stdout != "cleaned\n" {
		t.Errorf("the trap has printed %q; the action is %s with %d", stdout, e.Status, *e.ExitCode)
	}
	e = s.await(t, s.submit(t, "means.net", nil).ID, over)
	const message = "fetch failed\ngetaddrinfo EAI_AGAIN api.example\n" +
		"the action runs with network: none; network: egress in its file lets it reach the internet"
	if e.Failure == nil || e.Failure.Error != message {
		t.Errorf("without a network the failure is %+v", e.Failure)
	}
}
