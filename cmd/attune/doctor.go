package main

import (
	"context"
	"encoding/json"
	"fmt"

	"attune/sandbox/hostcheck"
)

// doctorCommand looks at this host as a worker would. It asks no service and changes nothing.
type doctorCommand struct {
	ContainerdAddress string `group:"service" env:"ATTUNE_CONTAINERD_ADDRESS" placeholder:"SOCKET" help:"containerd to check; without it, the one that \"up\" would run."`
	BinDir            string `group:"service" env:"ATTUNE_BIN_DIR" type:"path" placeholder:"DIR" help:"Folder with runc, CNI plugins and private daemons."`
	DataDir           string `group:"service" env:"ATTUNE_DATA_DIR" type:"path" default:"/var/lib/attune" help:"Folder whose disk to check."`
}

// Help is the long text of `attune doctor --help`.
func (*doctorCommand) Help() string {
	return `Run it as root on a worker's host. It changes nothing. Each point is

    ok        nothing to do
    degraded  sandboxes run, but less isolated, or some cannot run
    missing   no sandbox runs
    absent    only actions that ask for it cannot run

and every point but ok comes with what to do. The exit status is 1 when no execution can run here.

Examples:

    attune doctor
    attune doctor --json | jq -r .level
`
}

// Run does what the command's help says.
func (c *doctorCommand) Run(ctx context.Context, s *session) error {
	own := hostFlags{BinDir: c.BinDir}
	if err := own.setDefaults(); err != nil {
		return err
	}
	return s.printReport(hostcheck.Diagnose(ctx, hostcheck.Config{
		Address: c.ContainerdAddress, BinDir: own.BinDir, DataDir: c.DataDir,
	}))
}

// printReport ends with a failure when nothing can run.
func (s *session) printReport(report hostcheck.Report) error {
	if s.JSON {
		document, err := json.Marshal(report)
		if err != nil {
			return fmt.Errorf("encode report: %w", err)
		}
		if err := s.printJSON(document); err != nil {
			return err
		}
	} else {
		s.printChecks(report.Checks)
		s.printFields([]field{{"level", report.Level}})
	}
	if !report.Runs() {
		return exitStatus(exitFailed)
	}
	return nil
}

// printChecks gives people the remedies in a second table, since they are long; programs get one line for each point.
func (s *session) printChecks(checks []hostcheck.Check) {
	points := table{header: []string{"POINT", "STATE", "FOUND"}}
	mends := table{header: []string{"POINT", "TO MEND IT"}}
	for _, c := range checks {
		switch {
		case !s.stdoutTerminal:
			points.add(c.Name, string(c.State), c.Found, c.Mend)
			continue
		case c.Mend != "":
			mends.add(c.Name, c.Mend)
		}
		points.add(c.Name, string(c.State), c.Found)
	}
	s.printTable(points)
	s.printBelow(mends)
	if s.stdoutTerminal {
		writef(s.stdout, "\n")
	}
}
