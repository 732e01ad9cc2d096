package storage

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"attune"
)

// Claim gives the worker the oldest pending installation of a pack that no worker is installing; nil when there is
// none. First it releases the installations of workers whose lease has run out. A build may safely be done twice, since
// activation is guarded by the worker's name.
func (s *Installations) Claim(ctx context.Context, worker string) (*attune.Installation, attune.Manifest, error) {
	if _, err := s.pool.Exec(ctx, `update installations i set status = 'pending', worker = '', phase = 'queued'
		from workers w where i.status = 'installing' and w.name = i.worker and w.lease_expires_at < now()`); err != nil {
		return nil, attune.Manifest{}, Translate("release installations of lost workers", err)
	}
	for {
		claimed, manifest, err := s.claim(ctx, worker)
		switch {
		case isUnique(err):
			// Another worker has just taken an installation of the same pack; the next look sees that.
		case errors.Is(err, pgx.ErrNoRows):
			return nil, attune.Manifest{}, nil
		case err != nil:
			return nil, attune.Manifest{}, Translate("claim installation", err)
		default:
			return &claimed, manifest, nil
		}
	}
}

func (s *Installations) claim(
	ctx context.Context, worker string,
) (i attune.Installation, m attune.Manifest, err error) {
	err = s.pool.QueryRow(ctx, `update installations i
		set status = 'installing', phase = 'fetch', worker = $1, started_at = now()
		where id = (
			select id from installations p where status = 'pending'
			and not exists (select from installations o where o.pack = p.pack and o.status = 'installing')
			order by created_at, id limit 1 for update skip locked)
		returning `+installationColumns+`, manifest`, worker).Scan(append(installationFields(&i), &m)...)
	i.Progress = i.Phase.Progress()
	return i, m, err
}

// SetPhase records how far the worker has come with an installation that it has claimed.
func (s *Installations) SetPhase(ctx context.Context, id, worker string, phase attune.InstallationPhase) error {
	return Translate("set installation phase", change(ctx, s.pool, `update installations set phase = $3
		where id = $1 and worker = $2 and status = 'installing'`, id, worker, phase), NotHeld(id))
}

// Fail ends an installation that the worker has claimed; message is for people. The version that served before goes on
// serving.
func (s *Installations) Fail(ctx context.Context, id, worker, message string) error {
	// PostgreSQL takes neither broken UTF-8 nor NUL, and a message may quote what a tool printed.
	message = strings.ReplaceAll(strings.ToValidUTF8(message, "\uFFFD"), "\x00", "\uFFFD")
	return Translate("fail installation", change(ctx, s.pool, `update installations
		set status = 'failed', error = $3, finished_at = now()
		where id = $1 and worker = $2 and status = 'installing'`, id, worker, message), NotHeld(id))
}

// ResetLost releases what the worker claimed and did not finish. Call it only while the worker builds nothing.
func (s *Installations) ResetLost(ctx context.Context, worker string) error {
	_, err := s.pool.Exec(ctx, `update installations set status = 'pending', worker = '', phase = 'queued'
		where worker = $1 and status = 'installing'`, worker)
	return Translate("reset lost installations", err)
}

// NotHeld is the error for an installation that the worker does not hold, or no longer.
func NotHeld(id string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "installation %q is gone or no longer held by this worker", id)
}
