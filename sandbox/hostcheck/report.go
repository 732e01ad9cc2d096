package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckState is the result of a check.
type CheckState string

const (
	// CheckOK: the host is as it should be.
	CheckOK CheckState = "ok"
	// CheckDegraded: sandboxes run, but less isolated, or not all of them.
	CheckDegraded CheckState = "degraded"
	// CheckMissing: no sandbox runs without this.
	CheckMissing CheckState = "missing"
	// CheckAbsent: the host lacks this, which only actions need that ask for it.
	CheckAbsent CheckState = "absent"
)

// Check is one point of the host.
type Check struct {
	Name  string     `json:"name"`
	State CheckState `json:"state"`
	// Found is what was seen.
	Found string `json:"found"`
	// Mend is what to do about it, a command where possible. It is empty where all is well.
	Mend string `json:"mend,omitempty"`

	// lacks names the protection that sandboxes do without, as in the level.
	lacks string
}

// Report says what a host can do, and what it lacks.
type Report struct {
	// Level is LevelFull, LevelNone, or what is missing: "no-apparmor", "no-apparmor,no-swap-limit".
	Level  string  `json:"level"`
	Checks []Check `json:"checks"`
}

// Levels that are not named after what is missing.
const (
	// LevelFull: every point of the checklist holds.
	LevelFull = "full"
	// LevelNone: no sandbox can run.
	LevelNone = "none"
)

// Runs reports whether an execution can run.
func (r Report) Runs() bool { return r.Level != LevelNone }

// Err names everything without which no sandbox runs, nil when nothing is missing.
func (r Report) Err() error {
	var errs []error
	for _, c := range r.Checks {
		if c.State == CheckMissing {
			errs = append(errs, fmt.Errorf("%s: %s; %s", c.Name, c.Found, c.Mend))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("this host cannot run sandboxes (see `attune doctor`): %w", err)
	}
	return nil
}

// OK reports whether the check of a name is ok.
func (r Report) OK(name string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Name == name && c.State == CheckOK })
}

// Config says what Diagnose looks at besides the host itself.
type Config struct {
	// BinDir has the runtimes and tools. What it lacks is taken from the search path.
	BinDir string
	// Address is the path of containerd's socket. Without it, there must be a containerd to run.
	Address string
	// DataDir is the folder whose disk is looked at.
	DataDir string
}

// Diagnose looks at the host, at containerd, and at the disk.
func Diagnose(ctx context.Context, config Config) Report {
	return report(append(thisMachine(config.BinDir).checks(ctx), checkContainerd(ctx, config), checkDisk(config.DataDir)))
}

// Look looks at everything on the host that sandboxes need.
func Look(ctx context.Context, binDir string) Report { return report(thisMachine(binDir).checks(ctx)) }

func report(checks []Check) Report {
	level := LevelFull
	var lacks []string
	for _, c := range checks {
		if c.State == CheckMissing {
			level = LevelNone
		}
		if c.lacks != "" {
			lacks = append(lacks, "no-"+c.lacks)
		}
	}
	if level != LevelNone && len(lacks) > 0 {
		level = strings.Join(lacks, ",")
	}
	return Report{Level: level, Checks: checks}
}

func fine(name, found string) Check { return Check{Name: name, State: CheckOK, Found: found} }

func missing(name, found, mend string) Check {
	return Check{Name: name, State: CheckMissing, Found: found, Mend: mend}
}
