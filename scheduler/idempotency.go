package scheduler

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// IdempotencyKey makes a submission repeatable: a second one with the same Token and Key within IdempotencyPeriod
// queues nothing and returns what the first one made. With another Digest it is CodeInvalid.
type IdempotencyKey struct {
	// Token is the id of the API token of the request; keys of different tokens are unrelated.
	Token string
	// Key is the client's, at most 255 characters.
	Key string
	// Digest is over the request's body.
	Digest [32]byte
}

// IdempotencyPeriod is how long a key is remembered.
const IdempotencyPeriod = 24 * time.Hour

// find returns what an earlier submission with the key made, nil when there is none. It comes before anything is
// checked that may have changed since: the removal of a pack does not undo what was queued.
func (k *IdempotencyKey) find(ctx context.Context, db storage.Querier) ([]attune.Execution, error) {
	if k == nil {
		return nil, nil
	}
	var digest []byte
	var ids []string
	err := db.QueryRow(ctx, `select digest, executions::text[] from idempotency_keys where token = $1 and key = $2`,
		k.Token, k.Key).Scan(&digest, &ids)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, storage.Translate("look up idempotency key", err)
	}
	return k.executions(ctx, db, digest, ids)
}

// reserve takes the key for the submission of this transaction, and returns nil; or it returns what an earlier
// submission made. Of several at the same time one passes; the others wait here for its end.
func (k *IdempotencyKey) reserve(ctx context.Context, tx pgx.Tx) ([]attune.Execution, error) {
	if k == nil {
		return nil, nil
	}
	var first bool
	var digest []byte
	var ids []string
	// The row of another transaction is not visible, but waited for.
	err := tx.QueryRow(ctx, `
		insert into idempotency_keys as k (token, key, digest, executions) values ($1, $2, $3, '{}')
		on conflict (token, key) do update set token = k.token
		returning xmax = 0, digest, executions::text[]`, k.Token, k.Key, k.Digest[:]).Scan(&first, &digest, &ids)
	if err != nil || first {
		return nil, err
	}
	return k.executions(ctx, tx, digest, ids)
}

// executions reads what an earlier submission made, as it stands now.
func (k *IdempotencyKey) executions(
	ctx context.Context, db storage.Querier, digest []byte, ids []string,
) ([]attune.Execution, error) {
	if string(digest) != string(k.Digest[:]) {
		return nil, attune.Invalid("the idempotency key was used for another request",
			attune.Problem{Field: "Idempotency-Key", Message: "belongs to a request with another body; use a new key"})
	}
	if len(ids) > 1 {
		return storage.GetExecutions(ctx, db, ids)
	}
	made, err := storage.GetExecution(ctx, db, ids[0])
	return []attune.Execution{made}, err
}

// remember keeps what a submission made for its repetitions.
func (k *IdempotencyKey) remember(ctx context.Context, tx pgx.Tx, made []attune.Execution) error {
	if k == nil {
		return nil
	}
	ids := make([]string, len(made))
	for i, e := range made {
		ids[i] = e.ID
	}
	_, err := tx.Exec(ctx, `update idempotency_keys set executions = $3 where token = $1 and key = $2`,
		k.Token, k.Key, ids)
	return err
}
