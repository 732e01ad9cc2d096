package images

import (
	"embed"
	"io/fs"
	"slices"

	"attune"
)

// Paths inside every image.
const (
	// Root is Attune's own folder.
	Root = "/opt/attune"
	// PackDir has the pack's files and is the working directory of every run.
	PackDir = Root + "/pack"
	// VenvDir is a Python virtual environment with the pack's packages; it exists even without any.
	VenvDir = Root + "/venv"
	// NodeModulesDir has the pack's npm packages, where Node.js looks for them from PackDir.
	NodeModulesDir = Root + "/node_modules"
	// NodeDir has Node.js and npm.
	NodeDir = Root + "/nodejs"
	// RunnerDir has the runners.
	RunnerDir = Root + "/runner"
)

//go:embed runner
var files embed.FS

// Runners returns the files of RunnerDir.
func Runners() fs.FS {
	runners, err := fs.Sub(files, "runner")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return runners
}

// python is the interpreter of a pack: isolated from PYTHON* variables, UTF-8 whatever the locale, and without writing
// byte code.
var python = []string{VenvDir + "/bin/python", "-I", "-B", "-X", "utf8", RunnerDir + "/run.py"}

// Command is what a sandbox for an action runs, started in PackDir. The first process is tini: it reaps the processes
// that others leave behind, and passes SIGTERM on to the action's whole process group. The result is nil for an unknown
// runner.
func Command(a attune.Action) []string {
	command := []string{"/usr/bin/tini-static", "-g", "--"}
	switch a.RunnerType {
	case attune.RunnerPython:
		command = append(command, python...)
	case attune.RunnerNodeJS:
		command = append(command, "/usr/local/bin/node", RunnerDir+"/run.mjs")
	case attune.RunnerShell:
		command = append(command, "/bin/bash", RunnerDir+"/run.sh")
	default:
		return nil
	}
	command = append(append(command, preloads(a)...), "actions/"+a.EntryPoint)
	if a.Function != "" {
		command = append(command, a.Function)
	}
	return command
}

// Check is what checks the code of a pack's Python actions, started in PackDir; nil for a pack without any. It prints
// what is wrong, or begins with "note: ", a line each, and fails where something is wrong.
func Check(actions []attune.Action) []string {
	var checked []string
	for _, a := range actions {
		if a.RunnerType != attune.RunnerPython {
			continue
		}
		file := "actions/" + a.EntryPoint
		if a.Function != "" {
			file += ":" + a.Function
		}
		if len(a.Preload) > 0 || !slices.Contains(checked, file) {
			checked = append(append(checked, preloads(a)...), file)
		}
	}
	if checked == nil {
		return nil
	}
	return slices.Concat(python, []string{"--check"}, checked)
}

func preloads(a attune.Action) (arguments []string) {
	for _, name := range a.Preload {
		arguments = append(arguments, "--preload="+name)
	}
	return arguments
}
