package history

import (
	"fmt"
	"slices"
)

// location is a row that holds an execution.
type location struct {
	table string
	row   Row // nil in finished
}

func (l location) String() string {
	switch l.table {
	case "":
		return "nowhere"
	case "slots":
		return fmt.Sprintf("%s in slot %s", l.row["status"], slotOf(l.row))
	default:
		return l.table
	}
}

// find lists every location of an execution; a sound history has one.
func (c *checker) find(id string) []location {
	var found []location
	if row := c.waiting[id]; row != nil {
		found = append(found, location{"waiting", row})
	}
	if row := c.delayed[id]; row != nil {
		found = append(found, location{"delayed", row})
	}
	for _, row := range c.slots {
		if row["id"] == id {
			found = append(found, location{"slots", row})
		}
	}
	for range c.finished[id] {
		found = append(found, location{table: "finished"})
	}
	return found
}

// move is what a transaction did to an execution.
type move struct {
	id       string
	from, to location
}

// checkMove checks one execution's move against the state machine. It returns false where other rules do not apply.
func (c *checker) checkMove(id string, before, after []location, t Transaction) (move, bool) {
	if len(after) != 1 {
		if len(before) > 0 || len(after) > 0 {
			c.violate(RuleState, "execution %s is in %d locations: %v, after %v", id, len(after), after, before)
		}
		return move{}, false
	}
	m := move{id: id, to: after[0]}
	if len(before) == 1 {
		m.from = before[0]
	} else if len(before) > 1 {
		return move{}, false // reported when it happened
	}
	if !slices.Contains(moves[m.from.table], m.to.table) {
		c.violate(RuleState, "execution %s goes from %s to %s", id, m.from, m.to)
		return move{}, false
	}
	c.checkStatus(m, t)
	c.checkAttempt(m)
	return m, true
}

// moves are the tables that an execution may go to, by the table that it comes from. The empty name is no table.
var moves = map[string][]string{
	"":         {"waiting", "finished"},
	"waiting":  {"waiting", "slots", "finished"},
	"slots":    {"slots", "waiting", "delayed", "finished"},
	"delayed":  {"delayed", "waiting", "finished"},
	"finished": {"finished"},
}

// checkStatus checks the status of an execution against the tables that it moves between.
func (c *checker) checkStatus(m move, t Transaction) {
	from, to := m.from.row["status"], m.to.row["status"]
	switch m.from.table + ">" + m.to.table {
	case ">finished":
		if !entered(m.id, t) {
			c.violate(RuleState, "execution %s is %s and was never submitted", m.id, endOf(m.id, t)["status"])
		}
	case "waiting>slots":
		switch to {
		case "scheduled":
		default:
			c.violate(RuleState, "execution %s is %s without having been scheduled", m.id, to)
		}
	case "slots>slots":
		c.checkSlot(m)
	case "slots>waiting":
		// A running execution may be released, too: its worker's host knows that the code has not begun.
		if from == "canceling" {
			c.violate(RuleState, "execution %s goes back to its queue and is %s", m.id, from)
		}
	case "slots>delayed":
		if from == "canceling" {
			c.violate(RuleState, "execution %s is to be tried again, although it is canceling", m.id)
		}
	}
	if m.to.table != "finished" || m.from.table == "finished" {
		return
	}
	if end := endOf(m.id, t); end["status"] == "completed" && from != "scheduled" && from != "running" {
		c.violate(RuleState, "execution %s is completed and was %s", m.id, m.from)
	}
}

func (c *checker) checkSlot(m move) {
	from, to := m.from.row, m.to.row
	if slotOf(from) != slotOf(to) || from["claim"] != to["claim"] {
		c.violate(RuleClaim, "execution %s goes from claim %s of slot %s to claim %s of slot %s", m.id, from["claim"],
			slotOf(from), to["claim"], slotOf(to))
	}
	switch step := from["status"] + ">" + to["status"]; step {
	case "scheduled>scheduled", "running>running", "canceling>canceling", "scheduled>running", "scheduled>canceling",
		"running>canceling":
	default:
		c.violate(RuleState, "execution %s goes from %s to %s", m.id, from["status"], to["status"])
	}
}

// checkAttempt checks that an execution keeps its attempt and its ticket, or gets new ones for a retry.
func (c *checker) checkAttempt(m move) {
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
		c.violate(RuleAttempt, "attempt %d of execution %s follows attempt %d, going from %s to %s", to, m.id, from, m.from,
			m.to)
	}
	same := m.from.row["ticket"] != "" && m.to.row["ticket"] != ""
	if same && m.from.row["ticket"] != m.to.row["ticket"] {
		c.violate(RuleOrder, "execution %s goes from ticket %s to ticket %s without a new attempt", m.id,
			m.from.row["ticket"], m.to.row["ticket"])
	}
}

// endOf returns the row that the transaction inserts into finished for an execution.
func endOf(id string, t Transaction) Row {
	for _, change := range t.Changes {
		if change.Table == "finished" && change.New["id"] == id {
			return change.New
		}
	}
	return nil
}

// entered reports whether the transaction inserts an execution into waiting.
func entered(id string, t Transaction) bool {
	return slices.ContainsFunc(t.Changes, func(change Change) bool {
		return change.Table == "waiting" && change.Op == Insert && change.New["id"] == id
	})
}
