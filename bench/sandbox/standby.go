package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"attune/bench/measure"
)

// standby is a pack whose actions keep many sandboxes ready, in Python.
type standby struct {
	ref string
	// actions is how many there are, each how many sandboxes each of them keeps.
	actions, each int
}

func (s standby) action(i int) string { return fmt.Sprintf("%s.action%d", s.ref, i) }

func (s standby) file() string { return s.ref + ".py" }

// add installs a pack, and has all its sandboxes made.
func (b *bench) add(ctx context.Context, s standby) error {
	fmt.Fprintf(os.Stderr, "making %d sandboxes …\n", s.actions*s.each)
	files := map[string]string{
		"pack.yaml":           "ref: " + s.ref + "\nversion: 1.0.0\n",
		"actions/" + s.file(): languages[0].code,
	}
	for i := range s.actions {
		ref := s.action(i)
		files["actions/"+ref+".yaml"] = actionFile(ref, s.file(), fmt.Sprintf("warm: %d\n", s.each))
	}
	dir := filepath.Join(b.own.dir, s.ref+"-pack")
	if err := writeFiles(dir, files); err != nil {
		return err
	}
	if err := b.own.client(ctx, "pack", "install", dir, "--wait"); err != nil {
		return err
	}
	for i := range s.actions {
		if err := b.own.complete(ctx, s.action(i)); err != nil {
			return err
		}
		b.ready[s.action(i)] = s.each
	}
	return b.rest(ctx)
}

// remove removes a pack, and waits until its sandboxes are gone.
func (b *bench) remove(ctx context.Context, s standby) error {
	fmt.Fprintf(os.Stderr, "removing %d sandboxes …\n", s.actions*s.each)
	for i := range s.actions {
		delete(b.ready, s.action(i))
	}
	if err := b.own.client(ctx, "pack", "remove", s.ref); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	for {
		left, err := b.peer.list(ctx, s.file())
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return b.rest(ctx)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%w: %d sandboxes are not removed", err, len(left))
		}
	}
}

const (
	idleLine = "warm_p50_with_500_idle_sandboxes_over_none"
	// idleEach is how many executions make a run of a side: more than elsewhere, since it takes long to change sides.
	idleEach = 20
)

// idlePart compares warm executions beside many idle sandboxes with those beside none.
func (b *bench) idlePart() part {
	l, s := languages[0], standby{ref: "idle", actions: 10, each: 50}
	idle := false
	with := func(ctx context.Context) (err error) {
		if !idle {
			idle, err = true, b.add(ctx, s)
		}
		return err
	}
	without := func(ctx context.Context) (err error) {
		if idle {
			idle, err = false, b.remove(ctx, s)
		}
		return err
	}
	// An eighth of a small host's memory is not enough for all.
	flags := []string{"--warm-memory", fmt.Sprint(8 << 30)}
	return part{lines: []string{idleLine}, flags: flags, run: func(ctx context.Context) error {
		if err := b.fill(ctx, l.warm(), kept); err != nil {
			return err
		}
		_, err := b.compare(ctx, measure.Comparison{
			Name: idleLine, Title: "warm python, beside 500 idle sandboxes ÷ none", Times: true, Pairs: (b.pairs + 1) / 2,
			Target: &measure.Target{Must: 1.25, Goal: 1.1, AtMost: true},
			A:      measure.Side{Name: "500 idle", Run: after(with, inTurn(idleEach, b.warmRun(l)))},
			B:      measure.Side{Name: "none", Run: after(without, inTurn(idleEach, b.warmRun(l)))},
		})
		return err
	}}
}
