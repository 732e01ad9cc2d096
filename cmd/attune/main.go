package main

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"attune/storage/logs"
)

// commands is the command line, in the order in which `attune --help` shows it.
type commands struct {
	connection

	Up      upCommand      `cmd:"" group:"service" help:"Run everything on this host: API, worker, and a private daemon for each service that is not configured."`
	Server  serverCommand  `cmd:"" group:"service" help:"Run the REST API."`
	Worker  workerCommands `cmd:"" group:"service" help:"Run executions and build images on this host; list and forget workers."`
	Migrate migrateCommand `cmd:"" group:"service" help:"Bring the database schema up to date."`
	Doctor  doctorCommand  `cmd:"" group:"service" help:"Check what this host can do for sandboxes, and what it lacks."`

	Pack      packCommands      `cmd:"" group:"client" help:"Install, inspect and remove packs."`
	Run       runCommand        `cmd:"" group:"client" help:"Run an action."`
	Logs      logsCommand       `cmd:"" group:"client" help:"Print what an execution wrote."`
	Execution executionCommands `cmd:"" group:"client" help:"List, inspect, explain and cancel executions."`
	Secret    secretCommands    `cmd:"" group:"client" help:"Set, list and delete secrets."`
	Queue     queueCommands     `cmd:"" group:"client" help:"List queues, and show the queue of an action."`
	Policy    policyCommands    `cmd:"" group:"client" help:"List, set and delete limits, rates and quotas."`
	Token     tokenCommands     `cmd:"" group:"client" help:"Create, list and delete API tokens."`
	Version   versionCommand    `cmd:"" group:"client" help:"Print the version of this binary."`
}

// description opens `attune --help`.
const description = `Attune runs automation packs in sandboxes: upload a pack, run its actions, read what they wrote.

The client commands read ATTUNE_URL and ATTUNE_TOKEN. "attune up" writes both to a file to source:

    source DIR/connections.env
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	s := &session{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv,
		stdoutTerminal: isTerminal(os.Stdout), stderrTerminal: isTerminal(os.Stderr),
	}
	if isTerminal(os.Stdin) {
		s.readHidden = func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) }
	}
	os.Exit(run(ctx, s, os.Args[1:]))
}

// run is main without the process: it takes the arguments after the program's name and returns the exit status.
func run(ctx context.Context, s *session, args []string) int {
	var cli commands
	helped := false
	parser, err := kong.New(&cli,
		kong.Name("attune"),
		kong.Description(description),
		kong.Writers(s.stdout, s.stderr),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 110}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "service", Title: "Service"},
			{Key: "client", Title: "Client"},
			{Key: "connection", Title: "Connection and output"},
		}),
		kong.Vars{"log_cap": strconv.Itoa(logs.DefaultStreamBytes)},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
	if err != nil {
		return s.report(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	switch {
	case helped: // Other errors in the arguments do not matter then.
		return exitDone
	case err != nil:
		return s.report(parseFailure(err))
	}
	s.connection = cli.connection
	return s.report(kctx.Run())
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
