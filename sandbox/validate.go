package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"

	"attune"
)

// sandboxID keeps ids safe as a path segment and short enough for every name that is made of them.
var sandboxID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

// Validate tells what is wrong with the specification. Every Runtime refuses what does not pass.
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

// Validate tells what is wrong with the input. Every Sandbox refuses what does not pass.
func (in *Input) Validate() error {
	switch {
	case !sandboxID.MatchString(in.Execution):
		return fmt.Errorf("execution name %q is not of letters, digits and dashes", in.Execution)
	case in.Timeout <= 0:
		return errors.New("no timeout")
	case in.Grace < 0:
		return errors.New("negative grace")
	}
	return nil
}

// ValidateID reports what is wrong with a sandbox's id.
func ValidateID(id string) error {
	if !sandboxID.MatchString(id) {
		return fmt.Errorf("sandbox id %q is not of letters, digits and dashes", id)
	}
	return nil
}
