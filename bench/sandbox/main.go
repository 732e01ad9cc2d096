// Command sandbox compares an execution from the call of the API to its result with bare `runc run` of the same
// specification and image. docs/benchmarks.md says what each line means and how it is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"attune/bench/measure"
)

// options are the command's flags.
type options struct {
	attune, runc string
	pairs        int
	only         *regexp.Regexp
}

func main() {
	var o options
	flag.StringVar(&o.attune, "attune", "bin/attune", "the `program` to measure")
	flag.StringVar(&o.runc, "runc", "runc", "the `program` to compare with")
	flag.IntVar(&o.pairs, "pairs", 10, "how many times each side is run for a line")
	only := flag.String("only", "", "measure only the lines whose name matches this `expression`")
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

// run measures all lines that are wanted. What people read on the way goes to stderr, the results to stdout.
func (o options) run(ctx context.Context) (err error) {
	b := &bench{options: o}
	if b.own, err = newService(o.attune); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.own.close()) }()
	if err := b.serve(ctx, nil); err != nil {
		return err
	}
	if b.peer, err = openPeer(o.runc, filepath.Join(b.own.dir, "runc-bench"), b.own.containerd()); err != nil {
		return err
	}
	defer func() { err = errors.Join(b.peer.close(), err) }()
	pack := filepath.Join(b.own.dir, "bench-pack")
	if err := writePack(pack); err != nil {
		return err
	}
	if err := b.own.client(ctx, "pack", "install", pack, "--wait"); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.write(os.Stdout)
}

func (b *bench) write(w io.Writer) error {
	machine, err := measure.Machine()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n\n", machine)
	if err := measure.WriteTable(w, b.results); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, f := range b.figures {
		fmt.Fprintln(w, f.text())
	}
	fmt.Fprintln(w)
	if err := measure.WriteLines(w, b.results); err != nil {
		return err
	}
	for _, f := range b.figures {
		fmt.Fprintln(w, f.line())
	}
	return nil
}
