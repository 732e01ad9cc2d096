package history

import (
	"cmp"
	"slices"
	"strings"

	"attune"
)

// checkEntries checks that an execution enters a queue behind all that entered it before. A released one returns to its
// position; a change of the key moves all executions of a queue to others, each with its ticket.
func (c *checker) checkEntries(moves []move) {
	last := make(map[string]int64)
	for _, m := range moves {
		if m.to.table != "waiting" {
			continue
		}
		queue, ticket := m.to.row["queue_id"], m.to.row.number("ticket")
		c.checkKey(m)
		fresh := m.from.table == "" || m.from.table == "delayed"
		if fresh && ticket <= c.entered[queue] {
			c.violate(RuleOrder, "execution %s enters queue %s with ticket %d after ticket %d was committed", m.id, queue,
				ticket, c.entered[queue])
		}
		if released := m.from.table == "slots"; released && m.from.row["queue_id"] != queue {
			c.violate(RuleOrder, "execution %s is released from queue %s to queue %s", m.id, m.from.row["queue_id"], queue)
		}
		last[queue] = max(last[queue], ticket)
	}
	for queue, ticket := range last {
		c.entered[queue] = max(c.entered[queue], ticket)
	}
}

// checkAdmissions checks the executions that get slots: their claims, that they were at the front, and the limits.
func (c *checker) checkAdmissions(moves []move) {
	admitted := make(map[string][]Row)
	for _, m := range moves {
		if m.from.table != "waiting" || m.to.table != "slots" {
			continue
		}
		if claim := m.to.row["claim"]; c.claims[claim] {
			c.violate(RuleClaim, "execution %s gets claim %s, which was given before", m.id, claim)
		} else {
			c.claims[claim] = true
		}
		if m.from.row["queue_id"] != m.to.row["queue_id"] {
			c.violate(RuleOrder, "execution %s of queue %s gets a slot as one of queue %s", m.id, m.from.row["queue_id"],
				m.to.row["queue_id"])
		}
		if until, passed := c.overdue[m.id]; passed && m.from.row["wait_until"] == until {
			c.violate(RuleOrder, "execution %s gets a slot after others behind it in queue %s did, when it had waited too "+
				"long (%s)", m.id,
				m.to.row["queue_id"], until)
		}
		c.checkKey(m)
		queue := m.to.row["queue_id"]
		admitted[queue] = append(admitted[queue], m.to.row)
	}
	for queue, rows := range admitted {
		c.checkFront(queue, rows)
	}
	c.checkLimits(admitted)
}

// checkFront checks that no execution waits with a smaller ticket than an admitted one. Those that have waited too long
// are excepted.
func (c *checker) checkFront(queue string, admitted []Row) {
	back := slices.MaxFunc(admitted, func(a, b Row) int { return cmp.Compare(a.number("ticket"), b.number("ticket")) })
	for id, row := range c.waiting {
		if row["queue_id"] != queue || row.number("ticket") >= back.number("ticket") {
			continue
		}
		if until := row["wait_until"]; until != "" && !parseTime(until).After(parseTime(back["scheduled_at"])) {
			c.overdue[id] = until
			continue
		}
		c.violate(RuleOrder, "execution %s with ticket %s gets a slot while execution %s with ticket %s waits in front of "+
			"it in queue %s",
			back["id"], back["ticket"], id, row["ticket"], queue)
	}
}

// checkKey checks that an execution stands in the queue of its parameters' values under the concurrency key in force.
func (c *checker) checkKey(m move) {
	queue, row := c.queues[m.to.row["queue_id"]], m.to.row
	var names []string
	if text := strings.Trim(c.gate(row["action"])["concurrency_key"], "{}"); text != "" {
		names = strings.Split(text, ",")
	}
	key, err := attune.QueueKey(names, []byte(row["parameters"]))
	if err != nil || queue["action"] != row["action"] || queue["key"] != key {
		c.violate(RuleOrder, "execution %s of %s with the key %q stands in queue %s, which is that of %s with the key %q",
			m.id, row["action"], key, row["queue_id"], queue["action"], queue["key"])
	}
}
