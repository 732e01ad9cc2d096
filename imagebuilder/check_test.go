package imagebuilder

import (
	"fmt"
	"strings"
	"testing"

	"attune"
)

// addPython adds a file and an action that is it. The name of the file may end in a colon and the function to call.
func (p *testPack) addPython(name, code string) {
	file, function, _ := strings.Cut(name, ":")
	p.files["actions/"+file] = newPack("", map[string]string{"file": code + "\n"}).files["file"]
	p.manifest.Actions = append(p.manifest.Actions, attune.Action{
		RunnerType: attune.RunnerPython, EntryPoint: file, Function: function,
	})
}

// What can be seen of a Python action that could not run is said when its pack is installed.
func TestPythonThatCannotRun(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	wrong := [][2]string{ // the code, and what is said of it
		{
			"'''About the file.'''\nimport os\n\ndef run(city): return os.environ[city]",
			":4: run() is called with the keywords parameters and secrets, and does not take them: write def run(parameters, " +
				"secrets), or name it as the entry point, 0.py:run, to be called with each parameter by its name",
		},
		{"try: import tomllib\nexcept ImportError: pass\nelse:\n  def main(parameters): pass", ":4: main() is called with"},
		{"log = open('x')\nasync def run(secrets, /, parameters): pass", ":2: run() is called with"},
		{"class A:\n  def run(self, parameters, secrets): pass\n\nrun = lambda: A()", ":4: run() is called with"},
		{"def run(parameters, secrets, *, city): pass", ":1: run() is called with"},
		{"def run(parameters, secrets:", ":1: '(' was never closed"},
		{"\nreturn 1", ":2: 'return' outside function"},
		{"a\x00b", ": cannot be read: source code string cannot contain null bytes"},
		{"x = " + strings.Repeat("(", 5000), ":1: too many nested parentheses"},
	}
	p := newPack("wrong", nil)
	for i, c := range wrong {
		p.addPython(fmt.Sprintf("%d.py", i), c[0])
	}
	p.addPython("named.py:f", "def f(:")
	p.addPython("ahead.py", "print()")
	p.manifest.Actions[len(p.manifest.Actions)-1].Preload = []string{"json", "xml.etree", "sys", "0", "panda.io", "./x.py"}
	_, log, err := build(t, b, p)
	const begin = "checking the actions' files failed: actions/0.py:4: run() is called with"
	if attune.CodeOf(err) != attune.CodeInvalid || !strings.HasPrefix(fmt.Sprint(err), begin) {
		t.Errorf("error is %v", err)
	}
	said := []string{
		"actions/named.py:1: invalid syntax", "actions/ahead.py: preload: there is no module panda.io",
	}
	for i, c := range wrong {
		said = append(said, fmt.Sprintf("actions/%d.py%s", i, c[1]))
	}
	for _, want := range said {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Count(log, "actions/ahead.py") != 1 {
		t.Error("more is said of what is loaded ahead than is wrong")
	}
	if t.Failed() {
		t.Log(log)
	}
}

// Scripts have functions of any name, and files of the names of modules are fine; their authors may want to know.
func TestPythonThatRuns(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	p := newPack("right", map[string]string{
		"wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5"), "requirements.txt": "greeter\n",
	})
	const action = "def run(parameters, secrets): pass"
	for name, code := range map[string]string{
		"keywords.py":  "def main(**given): pass",
		"script.py":    "print('work')",
		"named.py:f":   "def f(city): pass",
		"imported.py":  "from subprocess import run\nrun(['true'])",
		"guard.py":     "def main(): print('work')\nif __name__ == '__main__': main()",
		"helper.py":    "import subprocess\ndef run(cmd): return subprocess.run(cmd)\nout = [run('true')]",
		"many.py":      "if 0: pass\n" + strings.Repeat("elif 0: pass\n", 90) + "else:\n  " + action,
		"a-b.py":       action,
		"token.py":     action,
		"greeter.py":   action,
		"sub/lines.py": "\ufeff# -*- coding: utf-8 -*-\r\n" + action + "\r\n",
	} {
		p.addPython(name, code)
	}
	_, log := mustBuild(t, b, p)
	notes := []string{
		"note: actions/guard.py:1: main() does not take parameters and secrets, so it is not called",
		"note: actions/helper.py:2: run() does not take parameters and secrets, so it is not called",
		"note: actions/token.py: import token finds another module",
		"note: actions/greeter.py: import greeter finds another module",
	}
	for _, note := range notes {
		if !strings.Contains(log, note) {
			t.Errorf("the log lacks %q", note)
		}
	}
	if strings.Count(log, "note: ") != len(notes) {
		t.Errorf("the log:\n%s", log)
	}
}
