package history

import (
	"fmt"
	"slices"
)

// place is where an execution is.
type place struct {
	table string
	row   Row // nil in finished
}

func (p place) String() string {
	switch p.table {
	case "":
		return "nowhere"
	case "slots":
		return fmt.Sprintf("%s in slot %s", p.row["status"], slotOf(p.row))
	default:
		return p.table
	}
}

// find lists all places of an execution.
func (c *checker) find(id string) []place {
	var found []place
	if row := c.waiting[id]; row != nil {
		found = append(found, place{"waiting", row})
	}
	if row := c.delayed[id]; row != nil {
		found = append(found, place{"delayed", row})
	}
	for _, row := range c.slots {
		if row["id"] == id {
			found = append(found, place{"slots", row})
		}
	}
	for range c.finished[id] {
		found = append(found, place{table: "finished"})
	}
	return found
}

// move is what a transaction did to an execution.
type move struct {
	id       string
	from, to place
}

// judge checks one execution's move against the state machine. False: there is nothing to judge further.
func (c *checker) judge(id string, before, after []place, t Transaction) (move, bool) {
	if len(after) != 1 {
		if len(before) > 0 || len(after) > 0 {
			c.violate(RulePlace, "execution %s is in %d places: %v, after %v", id, len(after), after, before)
		}
		return move{}, false
	}
	m := move{id: id, to: after[0]}
	if len(before) == 1 {
		m.from = before[0]
	} else if len(before) > 1 {
		return move{}, false // said before
	}
	if !slices.Contains(moves[m.from.table], m.to.table) {
		c.violate(RulePlace, "execution %s goes from %s to %s", id, m.from, m.to)
		return move{}, false
	}
	c.judgeStatus(m, t)
	c.judgeAttempt(m)
	return m, true
}

// moves are the tables that an execution may go to from a table; the empty one is nowhere.
var moves = map[string][]string{
	"":         {"waiting", "finished"},
	"waiting":  {"waiting", "slots", "finished"},
	"slots":    {"slots", "waiting", "delayed", "finished"},
	"delayed":  {"delayed", "waiting", "finished"},
	"finished": {"finished"},
}

// judgeStatus checks the states of slots and of the ends.
func (c *checker) judgeStatus(m move, t Transaction) {
	from, to := m.from.row["status"], m.to.row["status"]
	switch m.from.table + ">" + m.to.table {
	case ">finished":
		if !enters(m.id, t) {
			c.violate(RulePlace, "execution %s is %s and was never submitted", m.id, endOf(m.id, t)["status"])
		}
	case "waiting>slots":
		switch to {
		case "scheduled":
		default:
			c.violate(RulePlace, "execution %s is %s without having been scheduled", m.id, to)
		}
	case "slots>slots":
		c.judgeSlot(m)
	case "slots>waiting":
		// Its worker's host knows that its code has not begun, whatever was recorded.
		if from == "canceling" {
			c.violate(RulePlace, "execution %s goes back to its queue and is %s", m.id, from)
		}
	case "slots>delayed":
		if from == "canceling" {
			c.violate(RulePlace, "execution %s is to be tried again, although it is canceling", m.id)
		}
	}
	if m.to.table != "finished" || m.from.table == "finished" {
		return
	}
	if end := endOf(m.id, t); end["status"] == "completed" && from != "scheduled" && from != "running" {
		c.violate(RulePlace, "execution %s is completed and was %s", m.id, m.from)
	}
}

func (c *checker) judgeSlot(m move) {
	from, to := m.from.row, m.to.row
	if slotOf(from) != slotOf(to) || from["claim"] != to["claim"] {
		c.violate(RuleClaim, "execution %s goes from claim %s of slot %s to claim %s of slot %s", m.id, from["claim"], slotOf(from),
			to["claim"], slotOf(to))
	}
	switch step := from["status"] + ">" + to["status"]; step {
	case "scheduled>scheduled", "running>running", "canceling>canceling", "scheduled>running", "scheduled>canceling",
		"running>canceling":
	default:
		c.violate(RulePlace, "execution %s goes from %s to %s", m.id, from["status"], to["status"])
	}
}

// judgeAttempt checks what an execution takes along.
func (c *checker) judgeAttempt(m move) {
	from, to := m.from.row.number("attempt"), m.to.row.number("attempt")
	want := from
	switch {
	case m.to.table == "finished":
		return
	case m.from.table == "":
		want = 1
	case m.from.table == "slots" && m.to.table == "delayed":
		want++
	}
	if to != want {
		c.violate(RuleAttempt, "attempt %d of execution %s follows attempt %d, going from %s to %s", to, m.id, from, m.from, m.to)
	}
	same := m.from.row["ticket"] != "" && m.to.row["ticket"] != ""
	if same && m.from.row["ticket"] != m.to.row["ticket"] {
		c.violate(RuleOrder, "execution %s goes from ticket %s to ticket %s without a new attempt", m.id, m.from.row["ticket"],
			m.to.row["ticket"])
	}
}

// endOf is the row of an end that is in the transaction.
func endOf(id string, t Transaction) Row {
	for _, change := range t.Changes {
		if change.Table == "finished" && change.New["id"] == id {
			return change.New
		}
	}
	return nil
}

// enters tells whether an execution stood in a line at some moment within the transaction.
func enters(id string, t Transaction) bool {
	return slices.ContainsFunc(t.Changes, func(change Change) bool {
		return change.Table == "waiting" && change.Op == Insert && change.New["id"] == id
	})
}
