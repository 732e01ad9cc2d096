// Command scheduler compares Attune's queue with River, side by side on one PostgreSQL, and with itself under other
// conditions. docs/benchmarks.md says what each line means and how it is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"attune/bench/measure"
)

// poolSize is the number of connections of each side.
const poolSize = 16

// options are the command's flags.
type options struct {
	pairs   int
	history int
	only    *regexp.Regexp
}

func main() {
	var o options
	only := flag.String("only", "", "measure only the lines whose name matches this `expression`")
	flag.IntVar(&o.pairs, "pairs", 30, "how many times each side is run for a line; the long lines take a third")
	flag.IntVar(&o.history, "history", 10_000_000, "how many finished executions the long history has")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		err = o.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures the selected lines. Progress goes to stderr, the results to stdout.
func (o options) run(ctx context.Context) (err error) {
	server, err := measure.StartPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	b := &bench{options: o, server: server, clock: measure.NewClock(server.CPU), log: os.Stderr}
	defer b.close()
	if err := b.open(ctx); err != nil {
		return err
	}
	head, err := b.head(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(b.log, head)
	results, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return errors.Join(write(os.Stdout, head, b.settings, results))
}

func write(w io.Writer, head string, settings []string, results []measure.Result) error {
	fmt.Fprint(w, head)
	for _, s := range settings {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintln(w)
	if err := measure.WriteTable(w, results); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return measure.WriteLines(w, results)
}
