package main

import (
	"runtime"
	"runtime/debug"
)

// version is set by the build: go build -ldflags "-X main.version=1.2.3".
var version = ""

// versionText names the build: its version where one was set, else the revision it was made from.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, suffix := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			suffix = "+changed"
		}
	}
	if revision == "" {
		return "development"
	}
	return "development-" + revision + suffix
}

type versionCommand struct{}

// Run does what the command's help says.
func (*versionCommand) Run(s *session) error {
	if s.JSON {
		return s.printJSON([]byte(`{"version": "` + versionText() + `", "go": "` + runtime.Version() + `"}`))
	}
	writef(s.stdout, "attune %s (%s)\n", versionText(), runtime.Version())
	return nil
}
