package scheduler

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attune/storage"
)

// Claim is an execution that a worker has a slot for.
type Claim struct {
	// Slot and Number identify this one taking of a slot: every later write names both, so that a worker that lost the
	// slot changes nothing. Number is random and not counted: a counter that is taken back with an admission, when the
	// database crashes, would give the same number to another.
	Slot   int
	Number int64

	ID             string
	Attempt        int
	Action         string
	Pack           string
	PackVersion    string
	InstallationID string
	ImageDigest    string
	Parameters     json.RawMessage
	CreatedAt      time.Time

	ticket int64
}

// maxNumber leaves room for the numbers of one admission.
const maxNumber = math.MaxInt64 - 1<<32

// scanClaims reads rows of claimColumns; n is about how many there are.
func scanClaims(rows pgx.Rows, n int) ([]Claim, error) {
	claims := make([]Claim, 0, n)
	var c Claim
	var id, installation pgtype.UUID
	var action, pack, version, digest pgtype.DriverBytes
	parameters := (*[]byte)(&c.Parameters) // the database has checked that they are JSON
	known := make(texts)
	installations := make(map[pgtype.UUID]string)
	_, err := pgx.ForEachRow(rows, []any{&c.Slot, &c.Number, &c.ticket, &id, &c.Attempt, &action, &pack, &version,
		&installation, &digest, parameters, &c.CreatedAt}, func() error {
		if installations[installation] == "" {
			installations[installation] = installation.String()
		}
		c.ID, c.InstallationID = id.String(), installations[installation]
		c.Action, c.Pack = known.text(action), known.text(pack)
		c.PackVersion, c.ImageDigest = known.text(version), known.text(digest)
		claims = append(claims, c)
		c.Parameters = nil
		return nil
	})
	return claims, err
}

// texts keeps one copy of texts that are the same in many rows.
type texts map[string]string

func (t texts) text(b []byte) string {
	kept, ok := t[string(b)]
	if !ok {
		kept = string(b)
		t[kept] = kept
	}
	return kept
}

// claimsOf lists what a worker holds, by ticket.
func (q *Queue) claimsOf(ctx context.Context, worker string) ([]Claim, error) {
	rows, err := q.db.Pool().Query(ctx, claimsSQL.text, claimsSQL.args(pgx.NamedArgs{"worker": worker})...)
	if err != nil {
		return nil, storage.Translate("list the claims of a worker", err)
	}
	claims, err := scanClaims(rows, 0)
	return claims, storage.Translate("list the claims of a worker", err)
}

// canceling lists the claims of a worker's life that it has been asked to stop.
func (q *Queue) canceling(ctx context.Context, life workerLife) ([]Claim, error) {
	rows, err := q.db.Pool().Query(ctx,
		`select number, claim, id::text from slots where worker = $1 and status = 'canceling'
		and exists (select from workers where name = $1 and life = $2)`, life.Name, life.ID)
	if err != nil {
		return nil, storage.Translate("list executions to cancel", err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Claim, err error) {
		err = row.Scan(&c.Slot, &c.Number, &c.ID)
		return c, err
	})
	return claims, storage.Translate("list executions to cancel", err)
}
