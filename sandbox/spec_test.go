package sandbox

import (
	"strings"
	"testing"

	"attune"
)

const someImage = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func someSpec() Spec {
	return Spec{
		ID: "run-1", ImageDigest: someImage, Args: []string{"/bin/true"},
		Network:   attune.NetworkNone,
		Resources: attune.Resources{CPU: 0.5, MemoryBytes: 256 << 20, Pids: 128, TmpBytes: 64 << 20},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if spec := someSpec(); spec.Validate() != nil {
		t.Errorf("refused: %v", spec.Validate())
	}
	for name, change := range map[string]func(*Spec){
		"empty id":     func(s *Spec) { s.ID = "" },
		"path":         func(s *Spec) { s.ID = "a/b" },
		"dots":         func(s *Spec) { s.ID = ".." },
		"long id":      func(s *Spec) { s.ID = strings.Repeat("x", 65) },
		"digest":       func(s *Spec) { s.ImageDigest = "sha256:12" },
		"no command":   func(s *Spec) { s.Args = nil },
		"network":      func(s *Spec) { s.Network = "host" },
		"no cpu":       func(s *Spec) { s.Resources.CPU = 0 },
		"no memory":    func(s *Spec) { s.Resources.MemoryBytes = 0 },
		"no pids":      func(s *Spec) { s.Resources.Pids = -1 },
		"no tmp":       func(s *Spec) { s.Resources.TmpBytes = 0 },
		"leading dash": func(s *Spec) { s.ID = "-rf" },
	} {
		spec := someSpec()
		if change(&spec); spec.Validate() == nil {
			t.Errorf("%s was let through", name)
		}
	}
}

func TestValidateInput(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in Input
		ok bool
	}{
		"good":        {Input{Execution: "e-1", Timeout: 1}, true},
		"no name":     {Input{Timeout: 1}, false},
		"path":        {Input{Execution: "../e", Timeout: 1}, false},
		"no timeout":  {Input{Execution: "e-1"}, false},
		"minus grace": {Input{Execution: "e-1", Timeout: 1, Grace: -1}, false},
	} {
		if err := test.in.Validate(); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
