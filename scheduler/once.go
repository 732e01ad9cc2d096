package scheduler

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// Once makes a submission repeatable: a second one with the same Token and Key within 24 hours queues nothing and returns
// what the first one made. With another Digest it is CodeInvalid.
type Once struct {
	// Token is the id of the API token that asks; keys of different tokens have nothing to do with each other.
	Token string
	// Key is the client's, at most 255 characters.
	Key string
	// Digest is over the request's body.
	Digest [32]byte
}

// IdempotencyPeriod is how long a key is remembered.
const IdempotencyPeriod = 24 * time.Hour

// repeat returns what an earlier submission with the same key made. Of several at the same time one passes; the others wait
// here for its end.
func (q *Queue) repeat(ctx context.Context, tx pgx.Tx, once Once) ([]attune.Execution, bool, error) {
	var first bool
	var digest []byte
	var ids []string
	// The row of one that is being made is not seen, but waited for.
	err := tx.QueryRow(ctx, `
		insert into idempotency_keys as k (token, key, digest, executions) values ($1, $2, $3, '{}')
		on conflict (token, key) do update set token = k.token
		returning xmax = 0, digest, executions::text[]`, once.Token, once.Key, once.Digest[:]).Scan(&first, &digest, &ids)
	if err != nil || first {
		return nil, false, err
	}
	made, err := once.replay(ctx, tx, digest, ids)
	return made, true, err
}

// replayed returns what an earlier submission with the same key made, before anything is checked that may have changed
// since: a pack that was removed does not undo what was queued.
func (q *Queue) replayed(ctx context.Context, once *Once) ([]attune.Execution, error) {
	if once == nil {
		return nil, nil
	}
	var digest []byte
	var ids []string
	err := q.db.Pool().QueryRow(ctx, `select digest, executions::text[] from idempotency_keys where token = $1 and key = $2`,
		once.Token, once.Key).Scan(&digest, &ids)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, storage.Translate("look up idempotency key", err)
	}
	return once.replay(ctx, q.db.Pool(), digest, ids)
}

func (o Once) replay(ctx context.Context, db storage.Querier, digest []byte, ids []string) ([]attune.Execution, error) {
	if string(digest) != string(o.Digest[:]) {
		return nil, attune.Invalid("the idempotency key was used for another request",
			attune.Problem{Field: "Idempotency-Key", Message: "stands for another body; take a new key for a new request"})
	}
	made := make([]attune.Execution, len(ids))
	for i, id := range ids {
		var err error
		if made[i], err = storage.GetExecution(ctx, db, id); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// remember keeps what a submission made for its repetitions.
func (o Once) remember(ctx context.Context, tx pgx.Tx, made []attune.Execution) error {
	ids := make([]string, len(made))
	for i, e := range made {
		ids[i] = e.ID
	}
	_, err := tx.Exec(ctx, `update idempotency_keys set executions = $3 where token = $1 and key = $2`, o.Token, o.Key, ids)
	return err
}
