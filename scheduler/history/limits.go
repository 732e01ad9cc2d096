package history

import "time"

// checkLimits checks, after an admission, the number of taken slots behind each of its gates.
func (c *checker) checkLimits(admitted map[string][]Row) {
	for queue, rows := range admitted {
		for _, scope := range scopesOf(rows[0]) {
			gate := c.gate(scope)
			if limit := gate["concurrency_limit"]; limit != "" {
				c.checkLimit(nameOf(scope), gate.number("concurrency_limit"), func(r Row) bool { return within(scope, r) })
			}
		}
		if gate := c.gate(rows[0]["action"]); gate["queue_limit"] != "" {
			c.checkLimit("queue "+queue, gate.number("queue_limit"), func(r Row) bool { return r["queue_id"] == queue })
		}
	}
}

func (c *checker) checkLimit(name string, limit int64, behind func(Row) bool) {
	taken := int64(0)
	for _, row := range c.slots {
		if row["status"] != "free" && behind(row) {
			taken++
		}
	}
	if taken > limit {
		c.violate(RuleLimit, "an admission leaves %d slots taken of %s, whose limit is %d", taken, name, limit)
	}
}

// scopesOf returns the scopes of an execution: all, its pack, its action.
func scopesOf(r Row) []string { return []string{"", r["pack"], r["action"]} }

func within(scope string, r Row) bool {
	return scope == "" || scope == r["pack"] || scope == r["action"]
}

func nameOf(scope string) string {
	if scope == "" {
		return "all"
	}
	return scope
}

func (c *checker) gate(scope string) Row {
	for _, row := range c.gates {
		if row["scope"] == scope {
			return row
		}
	}
	return nil
}

// rate holds the starts behind a gate.
type rate struct {
	// since is the number of the last start before the present limit; a new limit does not look back.
	since int64
	last  int64
	at    map[int64]time.Time
}

// trackRateLimits remembers where a changed rate limit begins. It must be called before the transaction is applied.
func (c *checker) trackRateLimits(t Transaction) {
	for _, change := range t.Changes {
		if change.Table != "gates" {
			continue
		}
		if change.Op == Delete {
			delete(c.rates, change.Old["id"])
			continue
		}
		id := change.New["id"]
		if c.rates[id] == nil {
			c.rates[id] = &rate{last: change.New.number("started"), since: change.New.number("started"),
				at: make(map[int64]time.Time)}
		}
		if change.Old["rate_limit"] != change.New["rate_limit"] || change.Old["rate_window"] != change.New["rate_window"] {
			c.rates[id].since = c.rates[id].last
		}
	}
}

// checkRates checks that the starts are recorded without gaps, and that each keeps its distance.
func (c *checker) checkRates(t Transaction, moves []move) {
	recorded := make(map[string]int)
	for _, change := range t.Changes {
		r := c.rates[change.New["gate_id"]]
		if change.Table != "starts" || change.Op == Delete || r == nil {
			continue // starts are deleted once no limit looks back to them
		}
		number := change.New.number("number")
		r.at[number] = parseTime(change.New["at"])
		if change.Op == Update {
			continue // the clock was set back
		}
		gate := c.gates[change.New["gate_id"]]
		recorded[gate["scope"]]++
		if number != r.last+1 {
			c.violate(RuleRate, "start %d of %s follows start %d", number, nameOf(gate["scope"]), r.last)
		}
		r.last = number
		c.checkDistance(gate, r, number)
	}
	c.checkStartsRecorded(moves, recorded)
}

func (c *checker) checkDistance(gate Row, r *rate, number int64) {
	limit, window := gate.number("rate_limit"), parseInterval(gate["rate_window"])
	earlier := number - limit
	if limit == 0 || earlier <= r.since {
		return
	}
	if apart := r.at[number].Sub(r.at[earlier]); apart < window {
		c.violate(RuleRate, "starts %d and %d of %s are %s apart, but only %d may start within %s", earlier, number,
			nameOf(gate["scope"]), apart, limit, window)
	}
}

// checkStartsRecorded checks that every gate with a rate limit recorded each of its admissions.
func (c *checker) checkStartsRecorded(moves []move, recorded map[string]int) {
	started := make(map[string]int)
	for _, m := range moves {
		if m.from.table != "waiting" || m.to.table != "slots" {
			continue
		}
		for _, scope := range scopesOf(m.to.row) {
			if c.gate(scope)["rate_limit"] != "" {
				started[scope]++
			}
		}
	}
	for scope, n := range started {
		if recorded[scope] != n {
			c.violate(RuleRate, "%d executions of %s were admitted, and %d starts recorded", n, nameOf(scope), recorded[scope])
		}
	}
}
