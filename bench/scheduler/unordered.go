package main

import (
	"context"
	_ "embed"
	"errors"
	_ "unsafe" // for go:linkname
)

// unordered is the same queue without order and limits: the same executions in the same tables, written as durably by the same
// worker, which takes whatever it finds with `for update skip locked`, as most queues in PostgreSQL do. One statement is
// another one, so that the ratio is the price of contract 4 and of nothing else. Submissions still count who enters each line,
// but not while the clock runs; the lock of admissions is still taken, and nobody else wants it.
type unordered struct{ *ownQueue }

//go:embed unordered.sql
var unorderedSQL string

// These are the scheduler's own. To exchange them here spares it an option that nobody else needs.
//
//go:linkname admitSQL attune/scheduler.admitSQL
//go:linkname admitPlainSQL attune/scheduler.admitPlainSQL
//go:linkname admitFewSQL attune/scheduler.admitFewSQL
var admitSQL, admitPlainSQL, admitFewSQL string

func (q unordered) work(ctx context.Context, ran func()) (func() error, error) {
	if admitSQL == "" || admitPlainSQL == "" || admitFewSQL == "" {
		return nil, errors.New("the scheduler's admissions have other names now")
	}
	before := [...]string{admitSQL, admitPlainSQL, admitFewSQL}
	admitSQL, admitPlainSQL, admitFewSQL = unorderedSQL, unorderedSQL, unorderedSQL
	restore := func() { admitSQL, admitPlainSQL, admitFewSQL = before[0], before[1], before[2] }
	stop, err := q.ownQueue.work(ctx, ran)
	if err != nil {
		restore()
		return nil, err
	}
	return func() error {
		defer restore()
		return stop()
	}, nil
}
