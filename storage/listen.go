package storage

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune/internal/retry"
)

// Notify wakes the listeners of a channel. It carries nothing: a wake-up only says "look again". Call it after the
// commit, never inside the transaction, since PostgreSQL lets transactions that notify commit only one at a time.
func (db *DB) Notify(ctx context.Context, channel string) error {
	_, err := db.pool.Exec(ctx, `select pg_notify($1, '')`, channel)
	return Translate("notify", err)
}

// Listener turns notifications into signals.
type Listener struct {
	signals map[string]chan struct{}
	done    chan struct{}
	pool    *pgxpool.Pool
	// name is how PostgreSQL knows the connection. It begins with kind, as do those of all listeners to the same channels.
	kind, name string
}

// Listen subscribes to channels on a connection of its own and returns at once. Each channel is signaled once whenever
// the subscription begins, and so after a lost connection, when notifications may have been missed. A caller that looks
// after each signal misses nothing. It ends with ctx; then Wait.
//
// Callers still poll now and then: a wake-up that is never sent cannot be received.
func (db *DB) Listen(ctx context.Context, channels ...string) *Listener {
	l := &Listener{signals: make(map[string]chan struct{}), done: make(chan struct{}), pool: db.pool}
	l.kind = "listens to " + strings.Join(channels, " ")
	l.name = fmt.Sprintf("%s #%s", l.kind, rand.Text()[:8])
	for _, c := range channels {
		l.signals[c] = make(chan struct{}, 1)
	}
	config := db.pool.Config().ConnConfig
	config.RuntimeParams["application_name"] = l.name
	go func() {
		defer close(l.done)
		l.run(ctx, config)
	}()
	return l
}

// C gets a signal after one or more notifications on a channel that was given to Listen.
func (l *Listener) C(channel string) <-chan struct{} { return l.signals[channel] }

// Others reports whether another process listens to the same channels.
func (l *Listener) Others(ctx context.Context) (others bool, err error) {
	err = l.pool.QueryRow(ctx, `select exists (select from pg_stat_activity
		where datname = current_database() and starts_with(application_name, $1) and application_name <> $2)`,
		l.kind, l.name).Scan(&others)
	return others, Translate("look for listeners", err)
}

// Wait returns when the listener has ended and its connection is closed.
func (l *Listener) Wait() { <-l.done }

const (
	listenPauseMin = 100 * time.Millisecond
	listenPauseMax = 5 * time.Second
)

func (l *Listener) run(ctx context.Context, config *pgx.ConnConfig) {
	pauses := retry.Pauses(listenPauseMin, listenPauseMax)
	_ = retry.Do(ctx, pauses, func() error { // only ctx ends it
		return l.subscribe(ctx, config, pauses.Reset)
	}, func(err error, pause time.Duration) {
		slog.WarnContext(ctx, "the database listener lost its connection", "retry_in", pause, "error", err)
	})
}

// subscribe returns when the connection is lost.
func (l *Listener) subscribe(ctx context.Context, config *pgx.ConnConfig, subscribed func()) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // the connection is lost or no longer wanted
	}()
	for channel := range l.signals {
		if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
	}
	subscribed()
	for channel := range l.signals {
		signal(l.signals[channel])
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		signal(l.signals[n.Channel])
	}
}

// signal never blocks: a signal that waits to be received stands for this one too.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
