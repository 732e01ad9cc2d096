package images

import (
	"embed"
	"io/fs"

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

// Command is the first process of a sandbox, started in PackDir. The entry point is a slash path below the pack's
// actions/ folder; an empty function leaves the choice to the runner. The result is nil for an unknown runner.
func Command(runner attune.RunnerType, entryPoint, function string) []string {
	var command []string
	switch runner {
	case attune.RunnerPython:
		// Isolated from PYTHON* variables, UTF-8 whatever the locale, and without writing byte code.
		command = []string{VenvDir + "/bin/python", "-I", "-B", "-X", "utf8", RunnerDir + "/run.py"}
	case attune.RunnerNodeJS:
		command = []string{"/usr/local/bin/node", RunnerDir + "/run.mjs"}
	case attune.RunnerShell:
		command = []string{"/bin/bash", RunnerDir + "/run.sh"}
	default:
		return nil
	}
	command = append(command, "actions/"+entryPoint)
	if function != "" {
		command = append(command, function)
	}
	return command
}
