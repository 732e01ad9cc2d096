package history

import (
	"fmt"
	"slices"
	"strconv"
)

// Check replays a history that begins with empty tables and returns its violations in their order.
func Check(all []Transaction) []Violation {
	return replay(all).violations
}

// CheckDrained is Check for a history whose work is done: every acknowledged execution is finished, and no other is
// left in another table.
func CheckDrained(all []Transaction, acknowledged []string) []Violation {
	c := replay(all)
	c.position, c.xid = len(all), "-"
	for _, id := range acknowledged {
		if c.finished[id] == 0 {
			c.violate(RuleEnd, "execution %s was acknowledged and is not finished: it is %s", id, c.find(id))
		}
	}
	for table, rows := range map[string]map[string]Row{"waiting": c.waiting, "delayed": c.delayed, "slots": c.slots} {
		for _, row := range rows {
			if id := row["id"]; id != "" && !slices.Contains(acknowledged, id) {
				c.violate(RuleEnd, "execution %s, which was never acknowledged, is still in %s", id, table)
			}
		}
	}
	return c.violations
}

// checker holds the tables as they are after a commit, and what the rules need of earlier commits.
type checker struct {
	position   int
	xid        string
	violations []Violation

	waiting, delayed, slots, queues, heads, gates map[string]Row
	finished                                      map[string]int // the number of rows by id

	// entered is the largest ticket that ever entered a queue, by queue.
	entered map[string]int64
	// overdue has the executions that admission passed over because they had waited too long, with their wait_until.
	overdue map[string]string
	claims  map[string]bool
	rates   map[string]*rate
}

func replay(all []Transaction) *checker {
	c := &checker{
		waiting: make(map[string]Row), delayed: make(map[string]Row), slots: make(map[string]Row),
		queues: make(map[string]Row),
		heads:  make(map[string]Row), gates: make(map[string]Row), finished: make(map[string]int),
		entered: make(map[string]int64),
		overdue: make(map[string]string), claims: make(map[string]bool), rates: make(map[string]*rate),
	}
	for i, t := range all {
		c.position, c.xid = i, t.XID
		c.commit(t)
	}
	return c
}

func (c *checker) violate(rule Rule, format string, args ...any) {
	c.violations = append(c.violations, Violation{c.position, c.xid, rule, fmt.Sprintf(format, args...)})
}

// commit applies a transaction and checks it as a whole, since nothing outside saw the states in between.
func (c *checker) commit(t Transaction) {
	t = clearFreeSlots(t)
	before := make(map[string][]location)
	var touched []string
	for _, change := range t.Changes {
		for _, id := range executionsOf(change) {
			if _, known := before[id]; !known {
				before[id] = c.find(id)
				touched = append(touched, id)
			}
		}
	}
	c.trackRateLimits(t)
	for _, change := range t.Changes {
		c.apply(change)
	}
	var moves []move
	for _, id := range touched {
		if m, ok := c.checkMove(id, before[id], c.find(id), t); ok {
			moves = append(moves, m)
		}
	}
	c.checkEntries(moves)
	c.checkAdmissions(moves)
	c.checkRates(t, moves)
	c.checkQueues(t)
}

// clearFreeSlots removes from free slots what their last executions left in them.
func clearFreeSlots(t Transaction) Transaction {
	changes := make([]Change, len(t.Changes))
	for i, change := range t.Changes {
		if change.Table == "slots" {
			change.Old, change.New = clearFree(change.Old), clearFree(change.New)
		}
		changes[i] = change
	}
	t.Changes = changes
	return t
}

func clearFree(slot Row) Row {
	if slot == nil || slot["status"] != "free" {
		return slot
	}
	return Row{"worker": slot["worker"], "number": slot["number"], "status": "free", "claim": slot["claim"]}
}

// executionsOf returns the ids of the executions in the old and the new row.
func executionsOf(change Change) []string {
	switch change.Table {
	case "waiting", "delayed", "slots", "finished":
	default:
		return nil
	}
	var ids []string
	for _, row := range []Row{change.Old, change.New} {
		if id := row["id"]; id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c *checker) apply(change Change) {
	rows, key := c.table(change.Table)
	if change.Table == "finished" {
		if change.Op != Insert {
			c.violate(RuleState, "%s of finished execution %s", change.Op, change.Old["id"])
			return
		}
		c.finished[change.New["id"]]++
	}
	if rows == nil {
		return
	}
	if change.Old != nil {
		delete(rows, key(change.Old))
	}
	if change.New != nil {
		rows[key(change.New)] = change.New
	}
}

func (c *checker) table(name string) (map[string]Row, func(Row) string) {
	byID := func(r Row) string { return r["id"] }
	switch name {
	case "waiting":
		return c.waiting, byID
	case "delayed":
		return c.delayed, byID
	case "queues":
		return c.queues, byID
	case "gates":
		return c.gates, byID
	case "heads":
		return c.heads, func(r Row) string { return r["queue_id"] }
	case "slots":
		return c.slots, slotOf
	default:
		return nil, nil
	}
}

func slotOf(r Row) string { return r["worker"] + "/" + r["number"] }

// number returns a column that the schema guarantees to be an integer.
func (r Row) number(column string) int64 {
	n, _ := strconv.ParseInt(r[column], 10, 64)
	return n
}
