package main

import (
	"context"
	"time"

	"attune/bench/measure"
)

// line is one line of the report.
type line struct {
	name, title string
	target      *measure.Target
	// prepare makes the comparison that the line measures.
	prepare func(*bench, context.Context) (measure.Comparison, error)
}

// lines are in the order of the table.
var lines = []line{
	{
		"burndown_ratio_vs_river", "burn-down, Attune ÷ River", &measure.Target{Must: 1.5, Goal: 2},
		(*bench).burndownLine,
	},
	{
		"burndown_default_capacity_ratio_vs_river", "burn-down with 8 slots, Attune ÷ River", &measure.Target{Goal: 2},
		(*bench).defaultCapacityLine,
	},
	{
		"burndown_256_workers_over_64", "burn-down, 32 workers of 8 slots ÷ 8 workers", &measure.Target{Must: 0.9, Goal: 1},
		(*bench).workersLine,
	},
	{
		"burndown_old_snapshot_over_none", "burn-down, beside an old snapshot ÷ alone",
		&measure.Target{Must: 0.8, Goal: 0.95}, (*bench).snapshotLine,
	},
	{
		"submit_complete_16_clients_ratio_vs_river", "16 clients that wait, Attune ÷ River",
		&measure.Target{Must: 2, Goal: 4}, (*bench).clientsLine,
	},
	{
		"submit_stream_16_clients_ratio_vs_river", "16 clients that do not wait, Attune ÷ River", nil,
		(*bench).streamLine,
	},
	{
		"idle_submit_to_complete_over_one_insert", "idle submit to completed ÷ one insert",
		&measure.Target{Must: 8, Goal: 4, AtMost: true}, (*bench).idleLine,
	},
	{
		"fifo_limits_over_unordered", "burn-down, in order with limits ÷ unordered", &measure.Target{Must: 0.8, Goal: 0.95},
		(*bench).unorderedLine,
	},
	{
		"burndown_10m_history_over_empty", "burn-down, long history ÷ empty", &measure.Target{Must: 0.9, Goal: 0.98},
		(*bench).historyLine,
	},
	{
		"one_queue_limit_1_starts_per_second_over_100_queues", "one queue of limit 1 ÷ 100 of limit 16", nil,
		(*bench).singleLine,
	},
}

const (
	burndownJobs = 20_000
	// singleJobs burn down in about the same time, one after the other.
	singleJobs = 2_000
	// defaultJobs are fewer, since few slots end them more slowly.
	defaultJobs  = 2_000
	workersJobs  = 5_000
	clientNumber = 16
	idleJobs     = 250
)

// How long a run of each kind of clients takes. A stream is long enough that the last batch of River's completer, which
// takes up to 250 ms, does not decide the ratio.
const (
	clientsRunTime = 500 * time.Millisecond
	streamRunTime  = 2 * time.Second
)

func (b *bench) burndownLine(ctx context.Context) (measure.Comparison, error) {
	peer, _, err := b.best(ctx, "burn-down", candidates(), func(q *riverQueue) run { return burndown(q, burndownJobs) })
	if err != nil {
		return measure.Comparison{}, err
	}
	return b.versus(b.pairs, burndown(b.own, burndownJobs), burndown(peer, burndownJobs)), nil
}

// defaultCapacity is the default number of slots of a worker on two processors.
const defaultCapacity = 8

func (b *bench) defaultCapacityLine(context.Context) (measure.Comparison, error) {
	peer := b.river.with(riverSettings{maxWorkers: defaultCapacity, fetchCooldown: time.Millisecond})
	b.note("River, burn-down with %d slots, %s", defaultCapacity, peer.riverSettings)
	return b.versus(b.pairs, burndown(b.own.with(1, defaultCapacity), defaultJobs), burndown(peer, defaultJobs)), nil
}

func (b *bench) workersLine(context.Context) (measure.Comparison, error) {
	return measure.Comparison{
		Pairs: b.pairs,
		A:     measure.Side{Name: "256 slots", Run: burndown(b.own.with(256/defaultCapacity, defaultCapacity), workersJobs)},
		B:     measure.Side{Name: "64 slots", Run: burndown(b.own.with(64/defaultCapacity, defaultCapacity), workersJobs)},
	}, nil
}

// snapshotLine holds a snapshot open on another connection during the runs of one side, so that vacuum can remove
// none of their dead rows.
func (b *bench) snapshotLine(context.Context) (measure.Comparison, error) {
	return measure.Comparison{
		Pairs: b.pairs,
		A:     measure.Side{Name: "old snapshot", Run: besideSnapshot(b.own, burndown(b.own, burndownJobs))},
		B:     measure.Side{Name: "alone", Run: burndown(b.own, burndownJobs)},
	}, nil
}

func (b *bench) versus(pairs int, own, peer run) measure.Comparison {
	return measure.Comparison{Pairs: pairs, A: measure.Side{Name: "Attune", Run: own},
		B: measure.Side{Name: "River", Run: peer}}
}

func (b *bench) clientsLine(ctx context.Context) (measure.Comparison, error) {
	return b.withClients(ctx, "16 clients that wait", b.pairs, 10*clientNumber, clientsRunTime, clients)
}

func (b *bench) streamLine(ctx context.Context) (measure.Comparison, error) {
	return b.withClients(ctx, "16 clients that do not wait", b.longPairs(), 100*clientNumber, streamRunTime, stream)
}

// withClients first runs tryJobs, and then as many jobs on each side as it completes in runTime.
func (b *bench) withClients(ctx context.Context, what string, pairs, tryJobs int, runTime time.Duration,
	scenario func(queue, int, int) run,
) (measure.Comparison, error) {
	peer, each, err := b.best(ctx, what, clientCandidates(),
		func(q *riverQueue) run { return scenario(q, clientNumber, tryJobs) })
	if err != nil {
		return measure.Comparison{}, err
	}
	if err := scenario(b.own, clientNumber, tryJobs)(ctx, b.clock); err != nil {
		return measure.Comparison{}, err
	}
	jobs := func(each time.Duration) int { return max(tryJobs, int(runTime/each)/clientNumber*clientNumber) }
	own := scenario(b.own, clientNumber, jobs(b.clock.Sample().Time))
	return b.versus(pairs, own, scenario(peer, clientNumber, jobs(each))), nil
}

// idleLine compares with an insert into a table of our database that has the columns of a submission and one index.
func (b *bench) idleLine(ctx context.Context) (measure.Comparison, error) {
	pool := b.own.connections()
	_, err := pool.Exec(ctx, `create table plain (id bigint generated always as identity primary key, action text not null,
		parameters json not null, created_at timestamptz not null default clock_timestamp())`)
	if err != nil {
		return measure.Comparison{}, err
	}
	insert := func(ctx context.Context, clock *measure.Clock) error {
		return timeEach(clock, 4*idleJobs, func() error {
			_, err := pool.Exec(ctx, `insert into plain (action, parameters) values ($1, $2)`, b.own.actionRef(0), parameters(1))
			return err
		})
	}
	return measure.Comparison{
		Times: true, Pairs: b.pairs,
		A: measure.Side{Name: "Attune", Run: idle(b.own.with(1, defaultCapacity), idleJobs)},
		B: measure.Side{Name: "insert", Run: insert},
	}, nil
}

func (b *bench) unorderedLine(context.Context) (measure.Comparison, error) {
	return measure.Comparison{
		Pairs: b.pairs,
		A:     measure.Side{Name: "in order", Run: burndown(b.own, burndownJobs)},
		B:     measure.Side{Name: "unordered", Run: burndown(unordered{b.own}, burndownJobs)},
	}, nil
}

func (b *bench) singleLine(context.Context) (measure.Comparison, error) {
	return measure.Comparison{
		Pairs: b.longPairs(),
		A:     measure.Side{Name: "1 × 1", Run: burndown(b.single, singleJobs)},
		B:     measure.Side{Name: "100 × 16", Run: burndown(b.own, burndownJobs)},
	}, nil
}

// longPairs is for lines whose runs are long.
func (b *bench) longPairs() int { return max(2, b.pairs/3) }
