package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckState is how a point of the host stands.
type CheckState string

const (
	// CheckOK: it is as it should be.
	CheckOK CheckState = "ok"
	// CheckDegraded: sandboxes run, with less between them and the host, or some of them cannot.
	CheckDegraded CheckState = "degraded"
	// CheckMissing: no sandbox runs without it.
	CheckMissing CheckState = "missing"
	// CheckAbsent: it is not here, and only those who ask for it miss it.
	CheckAbsent CheckState = "absent"
)

// Check is one point of the host.
type Check struct {
	Name  string     `json:"name"`
	State CheckState `json:"state"`
	// Found is what was seen.
	Found string `json:"found"`
	// Mend is what to do about it, a command where there is one; empty where all is well.
	Mend string `json:"mend,omitempty"`

	// lacks names the protection that sandboxes do without, as the level says it.
	lacks string
}

// Report is what a host can do, and what it lacks.
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

// Runs tells whether an execution could run.
func (r Report) Runs() bool { return r.Level != LevelNone }

// Err names everything that keeps sandboxes from running; nil when nothing does.
func (r Report) Err() error {
	var errs []error
	for _, c := range r.Checks {
		if c.State == CheckMissing {
			errs = append(errs, fmt.Errorf("%s: %s; %s", c.Name, c.Found, c.Mend))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("this host cannot run sandboxes (`attune doctor` tells more): %w", err)
	}
	return nil
}

// OK reports whether a point of the host is as it should be.
func (r Report) OK(name string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Name == name && c.State == CheckOK })
}

// Config says what Diagnose looks at besides the host itself.
type Config struct {
	// BinDir has the runtimes and tools; for what it lacks, the search path is used.
	BinDir string
	// Address is the path of containerd's socket. Without one there must be a containerd to run.
	Address string
	// DataDir is the folder whose disk is looked at.
	DataDir string
}

// Diagnose looks at the host, at containerd, and at the disk.
func Diagnose(ctx context.Context, config Config) Report {
	return report(append(thisMachine(config.BinDir).checks(ctx), checkContainerd(ctx, config), checkDisk(config.DataDir)))
}

// Look looks at everything on the host that sandboxes stand on.
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
