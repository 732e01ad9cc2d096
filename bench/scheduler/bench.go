package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"attune/bench/measure"
	"attune/storage"
)

// bench is one run of the command.
type bench struct {
	options
	server *measure.Postgres
	clock  *measure.Clock
	log    io.Writer
	// settings are the configurations that were measured, for the report.
	settings []string

	river *riverQueue
	// own has 100 actions with limit 16, single has one with limit 1.
	own, single *ownQueue
	sealer      *storage.Sealer
	// closers are called at the end, in reverse order.
	closers []func()
}

// open makes a database for each side.
func (b *bench) open(ctx context.Context) (err error) {
	if b.sealer, err = b.newSealer(); err != nil {
		return err
	}
	riverURL, err := b.server.CreateDatabase(ctx, "river")
	if err != nil {
		return err
	}
	if b.river, err = openRiver(ctx, riverURL); err != nil {
		return err
	}
	b.closers = append(b.closers, b.river.db.Close)
	if b.own, err = b.openOwn(ctx, ownActions, ownLimit, false); err != nil {
		return err
	}
	b.single, err = b.openOwn(ctx, 1, 1, false)
	return err
}

func (b *bench) openOwn(ctx context.Context, actions, limit int, history bool) (*ownQueue, error) {
	q, err := openOwn(ctx, b.server, b.sealer, actions, limit, history)
	if err == nil {
		b.closers = append(b.closers, q.db.Close)
	}
	return q, err
}

// newSealer makes a key, which a storage.DB needs; nothing is sealed with it.
func (b *bench) newSealer() (*storage.Sealer, error) {
	dir, err := os.MkdirTemp("", "attune-bench-key-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	keyFile := filepath.Join(dir, "key.json")
	if err := storage.CreateKeyFile(keyFile); err != nil {
		return nil, err
	}
	return storage.NewSealer(keyFile)
}

// Our side has 100 queues of limit 16.
const (
	ownActions = 100
	ownLimit   = 16
)

func (b *bench) close() {
	for _, fn := range slices.Backward(b.closers) {
		fn()
	}
}

// head prints what is measured, and on which host.
func (b *bench) head(ctx context.Context) (string, error) {
	machine, machineErr := measure.Machine()
	settings, settingsErr := b.server.Settings(ctx)
	return fmt.Sprintf("Machine: %s\nDatabase: %s\nAttune: this checkout, %d actions of limit %d, pool of %d "+
		"connections, one worker of capacity %d\n"+
		"River: %s, riverpgxv5, pool of %d connections, InsertManyFast, no job timeout\n",
		machine, settings, ownActions, ownLimit, poolSize, ownActions*ownLimit,
		measure.ModuleVersion("github.com/riverqueue/river"), poolSize), errors.Join(machineErr, settingsErr)
}

// measure runs the lines that are wanted, one after the other.
func (b *bench) measure(ctx context.Context) ([]measure.Result, error) {
	var results []measure.Result
	for _, l := range lines {
		if !b.only.MatchString(l.name) {
			continue
		}
		begin := time.Now()
		comparison, err := l.prepare(b, ctx)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", l.name, err)
		}
		comparison.Name, comparison.Title, comparison.Target = l.name, l.title, l.target
		result, err := comparison.Run(ctx, b.clock)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(b.log, "%s: %.2f (%.2f – %.2f), control %.2f and %.2f; took %s\n", l.name, result.Median(), result.Min(),
			result.Max(), result.ControlA, result.ControlB, time.Since(begin).Round(time.Second))
		results = append(results, result)
	}
	return results, nil
}

// note adds a configuration to the report.
func (b *bench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.settings = append(b.settings, text)
	fmt.Fprintln(b.log, text)
}
