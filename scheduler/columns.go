package scheduler

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attune"
)

// columns are records as the arrays that statements take.
type columns struct {
	slots             []int
	claims            []int64
	ages              sparse[float64]
	statuses, reasons []string
	codes             sparse[int]

	results, failures, usages, outputs sparse[string]

	ids map[int64]string
}

func (c *columns) len() int { return len(c.slots) }

// add takes what identifies a claim, and its age.
func (c *columns) add(r record) {
	c.ages.put(c.len(), r.age())
	c.slots, c.claims = append(c.slots, r.Slot), append(c.claims, r.Number)
}

// addOutcome takes all of a record.
func (c *columns) addOutcome(r record) error {
	failure, usage, outputs, err := r.documents()
	if err != nil {
		return err
	}
	at := c.len()
	c.codes.put(at, r.ExitCode)
	if len(r.Result) > 0 {
		text := string(r.Result)
		c.results.put(at, &text)
	}
	c.failures.put(at, failure)
	c.usages.put(at, usage)
	c.outputs.put(at, outputs)
	c.statuses, c.reasons = append(c.statuses, string(r.Status)), append(c.reasons, string(r.Reason))
	c.add(r)
	if c.ids == nil {
		c.ids = make(map[int64]string)
	}
	c.ids[r.Number] = r.ID
	return nil
}

func (c *columns) args(worker string) pgx.NamedArgs {
	return pgx.NamedArgs{
		"worker": worker, "slots": c.slots, "claims": c.claims, "ages": c.ages, "statuses": c.statuses, "reasons": c.reasons,
		"codes": c.codes, "results": c.results, "failures": c.failures, "usages": c.usages, "outputs": c.outputs,
	}
}

// queueFinish adds the end of the claims to a batch. ids gets the executions that were the worker's to end.
func (c *columns) queueFinish(batch *pgx.Batch, worker string, ids *[]string) {
	finishSQL.queue(batch, c.args(worker)).Query(func(rows pgx.Rows) error {
		*ids = make([]string, 0, c.len())
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&number}, func() error {
			*ids = append(*ids, c.ids[number])
			return nil
		})
		return err
	})
}

// sparse is a column of which most rows may have nothing: the database takes the rest of an array that is too short
// for null.
type sparse[T any] []*T

func (s *sparse[T]) put(at int, value *T) {
	if value == nil {
		return
	}
	*s = append(*s, make([]*T, at-len(*s))...)
	*s = append(*s, value)
}

// documents are those parts of an outcome that are kept as JSON, each nil where there is nothing of it.
func (o Outcome) documents() (failure, usage, outputs *string, err error) {
	text := func(there bool, v any) *string {
		if !there || err != nil {
			return nil
		}
		var b []byte
		b, err = json.Marshal(v)
		s := string(b)
		return &s
	}
	var cut *attune.Failure
	if o.Failure != nil {
		kept := o.Failure.Cut()
		cut = &kept
	}
	failure, usage, outputs = text(cut != nil, cut), text(o.Usage != nil, o.Usage),
		text(len(o.Outputs) > 0, o.Outputs)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("encode outcome: %w", err)
	}
	return failure, usage, outputs, nil
}
