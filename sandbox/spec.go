package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"

	"attune"
)

// Spec says what a sandbox is made of, whatever execution it will serve.
type Spec struct {
	// ID names the sandbox: letters, digits and dashes.
	ID string
	// ImageDigest is the manifest digest of an image on this host.
	ImageDigest string
	// Args is the command. It must not hold secrets.
	Args []string
	// Env is added to the environment of the command. It must not hold secrets.
	Env     map[string]string
	Network attune.Network
	// Runtime makes the sandbox. Empty takes the host's default.
	Runtime   attune.Runtime
	Resources attune.Resources
	// Ahead says that no execution waits for the sandbox yet. Until Run it yields the processor to all other sandboxes.
	Ahead bool
}

// Paths inside every sandbox. The image builder puts files there, and the runners rely on them.
const (
	// PackDir is the working directory: the pack's files, read-only.
	PackDir = "/opt/attune/pack"
	// RunnerDir holds the runners.
	RunnerDir = "/opt/attune/runner"
	// LeftDir is the folder whose files the host reads after the process has ended.
	LeftDir     = "/run/attune"
	ResultPath  = LeftDir + "/result"
	FailurePath = LeftDir + "/failure"
	// OutputDir is where an action leaves files.
	OutputDir = LeftDir + "/output"
)

// validName keeps ids safe as path segments, and short enough for every name that is made of them.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

// Validate returns what is wrong with the specification. Every Runtime refuses an invalid one.
func (s *Spec) Validate() error {
	if err := ValidateID(s.ID); err != nil {
		return err
	}
	if err := digest.Digest(s.ImageDigest).Validate(); err != nil {
		return fmt.Errorf("image digest %q: %w", s.ImageDigest, err)
	}
	switch r := s.Resources; {
	case len(s.Args) == 0:
		return errors.New("no command")
	case s.Network != attune.NetworkNone && s.Network != attune.NetworkEgress:
		return fmt.Errorf("unknown network %q", s.Network)
	case s.Runtime != "" && !slices.Contains(attune.Runtimes(), s.Runtime):
		return fmt.Errorf("unknown runtime %q", s.Runtime)
	case r.TmpFiles < 0 || r.OpenFiles < 0:
		return errors.New("negative number of files")
	case r.CPU <= 0 || r.MemoryBytes <= 0 || r.Pids <= 0 || r.TmpBytes <= 0:
		return errors.New("cpu, memory, pids and tmp must all be limited")
	}
	return nil
}

// ValidateID returns what is wrong with a sandbox's id.
func ValidateID(id string) error {
	if !validName.MatchString(id) {
		return fmt.Errorf("sandbox id %q is not of letters, digits and dashes", id)
	}
	return nil
}
