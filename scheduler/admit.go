package scheduler

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attune/storage"
)

// Claim is an execution that a worker has a slot for.
type Claim struct {
	// Slot and Number identify this one taking of a slot: every later write names both, so that whoever lost the slot
	// changes nothing. Number is random and not counted: a counter that is taken back with an admission, when the database
	// crashes, would give the same number to another.
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
	// begun: it was started with its admission.
	begun bool
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// admit gives up to n slots to a worker: of every queue with room its head, and of all those heads the oldest tickets first;
// left is how many were seen to wait on. It is committed without waiting for the disk: what a crash of the database takes
// back was not begun, since the start, which is durable, comes later in the same log. With begin the admission is the start,
// too, and as durable.
//
// There are three statements for it. Two give nothing where a limit stands above single queues, so they may be used on a guess;
// look tells whether the guess was right. One of these costs the least where few wait: quiet expects that, and where it was
// wrong somebody is left behind.
func (q *Queue) admit(ctx context.Context, life workerLife, n int, quiet, begin bool) (claims []Claim, left int, err error) {
	sql := admitPlainSQL
	if q.layered.Load() {
		sql = admitSQL
	} else if quiet {
		sql, n = admitFewSQL, min(n, storage.FewSlots)
	}
	// The batch is one transaction, and each of its statements has a snapshot of its own, younger than the lock.
	batch := &pgx.Batch{}
	batch.Queue(`select pg_advisory_xact_lock($1, 0), set_config('synchronous_commit', $2, true)`, lockAdmission, onOff(begin))
	number := rand.Int64N(maxNumber) //nolint:gosec // it must be another one each time, and may be guessed
	batch.Queue(sql, life.Name, life.ID, n, number, begin).Query(func(rows pgx.Rows) (err error) {
		claims, left, err = scanAdmission(rows, n)
		return err
	})
	if err := q.db.Pool().SendBatch(ctx, batch).Close(); err != nil {
		return nil, 0, storage.Translate("admit executions", err)
	}
	for i := range claims {
		claims[i].begun = begin
	}
	slices.SortFunc(claims, func(x, y Claim) int { return int(x.ticket - y.ticket) })
	return claims, left, nil
}

// maxNumber leaves room for the numbers of one admission.
const maxNumber = math.MaxInt64 - 1<<32

// scanAdmission reads one row for each of at most n claims, and one with the number of those left.
func scanAdmission(rows pgx.Rows, n int) (claims []Claim, left int, err error) {
	claims = make([]Claim, 0, n) // claims are large: to move them as the slice grows is what others would wait for
	var c Claim
	var id, installation pgtype.UUID
	var rest *int
	// The database has checked that they are JSON.
	parameters := (*[]byte)(&c.Parameters)
	// These are the same for many.
	var shared [4]pgtype.DriverBytes
	texts := make(map[string]string)
	keep := func(text []byte) string {
		kept, ok := texts[string(text)]
		if !ok {
			kept = string(text)
			texts[kept] = kept
		}
		return kept
	}
	installations := make(map[pgtype.UUID]string)
	_, err = pgx.ForEachRow(rows, []any{&c.Slot, &c.Number, &c.ticket, &id, &c.Attempt, &shared[0], &shared[1], &shared[2], &installation,
		&shared[3], parameters, &c.CreatedAt, &rest}, func() error {
		if rest != nil {
			left = *rest
			return nil
		}
		if installations[installation] == "" {
			installations[installation] = installation.String()
		}
		c.ID, c.InstallationID = id.String(), installations[installation]
		c.Action, c.Pack, c.PackVersion, c.ImageDigest = keep(shared[0]), keep(shared[1]), keep(shared[2]), keep(shared[3])
		claims = append(claims, c)
		c.Parameters = nil
		return nil
	})
	return claims, left, err
}

// fields are what a claim is read into.
func (c *Claim) fields() []any {
	return []any{&c.Slot, &c.Number, &c.ticket, &c.ID, &c.Attempt, &c.Action, &c.Pack, &c.PackVersion, &c.InstallationID,
		&c.ImageDigest, &c.Parameters, &c.CreatedAt}
}

func scanClaim(row pgx.CollectableRow) (c Claim, err error) {
	err = row.Scan(c.fields()...)
	return c, err
}
