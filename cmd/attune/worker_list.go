package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"attune"
	"attune/cmd/attune/internal/client"
)

// workerCommands are about workers; `attune worker` without one of them is a worker.
type workerCommands struct {
	Run    workerRunCommand    `cmd:"" default:"withargs" help:"Run executions and build images on this host; the same as \"attune worker\"."`
	List   workerListCommand   `cmd:"" help:"List the workers, with their slots and leases."`
	Forget workerForgetCommand `cmd:"" help:"Forget a worker whose host is gone for good."`
}

// Help is the long text of `attune worker --help`.
func (*workerCommands) Help() string {
	return `Without a subcommand it runs a worker on this host: ` +
		`"attune worker --data-dir DIR" is the same as "attune worker
run --data-dir DIR", and "attune worker run --help" has the flags.
`
}

type workerListCommand struct{}

// Run does what the command's help says.
func (*workerListCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	workers, raw, err := fetchList[attune.Worker](ctx, c, client.Path("workers"), nil, 0)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{"WORKER", "STATE", "RUNNING", "CAPACITY", "STARTED", "LEASE ENDS", "LABELS"}}
	for _, w := range workers {
		state := "lost"
		if w.Alive {
			state = "alive"
		}
		t.add(w.Name, state, strconv.Itoa(len(w.Executions)), strconv.Itoa(w.Capacity),
			s.when(&w.StartedAt), s.when(&w.LeaseExpiresAt), orDash(labels(w.Labels)))
	}
	s.printTable(t)
	return nil
}

// labels are name=value, by name.
func labels(of map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		pairs = append(pairs, name+"="+of[name])
	}
	return strings.Join(pairs, ",")
}

type workerForgetCommand struct {
	Name string `arg:"" help:"Worker to forget, as in the list."`
}

// Help is the long text of `attune worker forget --help`.
func (*workerForgetCommand) Help() string {
	return `The worker's slots become free. The executions in them end as abandoned, for worker_lost, and are tried again
where their action's retry names that reason.

Make sure first that the host is gone: an action that still runs there goes on, while another one gets its slot. The
command is refused while the worker's lease holds. A worker that restarts needs none of this: it takes its executions up
again.

Examples:

    attune worker list
    attune worker forget host-1-c4k7q2wn
`
}

// Run does what the type says.
func (w *workerForgetCommand) Run(ctx context.Context, s *session) error {
	return s.remove(ctx, client.Path("workers", w.Name), nil, "worker "+w.Name)
}
