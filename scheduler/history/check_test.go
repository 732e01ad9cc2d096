package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The histories below have one queue, 1, of action ops.a. Each function makes the changes of one statement of the
// scheduler.

func row(pairs ...any) Row {
	r := make(Row)
	for i := 0; i < len(pairs); i += 2 {
		r[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
	}
	return r
}

func (r Row) with(pairs ...any) Row {
	changed := maps.Clone(r)
	maps.Copy(changed, row(pairs...))
	return changed
}

func insert(table string, r Row) Change       { return Change{table, Insert, nil, r} }
func remove(table string, r Row) Change       { return Change{table, Delete, r, nil} }
func update(table string, old, r Row) Change  { return Change{table, Update, old, r} }
func together(parts ...[]Change) (t []Change) { return slices.Concat(parts...) }

func waits(id string, ticket int) Row {
	return row("id", id, "queue_id", 1, "ticket", ticket, "attempt", 1, "action", "ops.a", "pack", "ops", "parameters",
		`{"n": 1}`)
}

func slot(number int) Row { return row("worker", "w", "number", number, "status", "free", "claim", 0) }

// story builds a history and keeps the counts of the queue.
type story struct {
	entered, departed, passed int
	all                       []Transaction
}

func begun() *story {
	s := &story{}
	s.commit([]Change{insert("queues", s.queue()), insert("heads", s.head()), insert("slots", slot(1)),
		insert("slots", slot(2))})
	return s
}

func (s *story) queue() Row {
	return row("id", 1, "action", "ops.a", "pack", "ops", "key", "", "entered", s.entered, "busy", "true")
}

func (s *story) head() Row { return row("queue_id", 1, "departed", s.departed, "passed", s.passed) }

func (s *story) commit(changes []Change) *story {
	s.all = append(s.all, Transaction{XID: fmt.Sprint(len(s.all) + 700), Changes: changes})
	return s
}

func (s *story) enter(r Row) []Change {
	before := s.queue()
	s.entered++
	return []Change{insert("waiting", r), update("queues", before, s.queue())}
}

func (s *story) depart(n, passed int) []Change {
	before := s.head()
	s.departed, s.passed = s.departed+n, passed
	return []Change{update("heads", before, s.head())}
}

// taken returns the slot with the execution that is admitted to it.
func taken(number, claim int, r Row) Row {
	s := slot(number).with("status", "scheduled", "claim", claim, "scheduled_at", "2026-01-01 10:00:00+00")
	maps.Copy(s, r)
	return s
}

func (s *story) admit(number, claim int, r Row) []Change {
	return s.admitAs("scheduled", number, claim, r)
}

func (s *story) admitAs(status string, number, claim int, r Row) []Change {
	return together([]Change{remove("waiting", r),
		update("slots", slot(number), taken(number, claim, r).with("status", status))}, s.depart(1, int(r.number("ticket"))))
}

func start(held Row) []Change {
	return []Change{update("slots", held, held.with("status", "running"))}
}

func finish(held Row, status string) []Change {
	return []Change{
		update("slots", held, slot(int(held.number("number"))).with("claim", held["claim"])),
		insert("finished", row("id", held["id"], "attempt", held["attempt"], "status", status)),
	}
}

func (s *story) release(held, r Row) []Change {
	return together([]Change{update("slots", held, slot(int(held.number("number")))), insert("waiting", r)},
		s.depart(-1, int(r.number("ticket"))-1))
}

func running(number, claim int, r Row) Row { return taken(number, claim, r).with("status", "running") }

func TestGoodHistories(t *testing.T) {
	t.Parallel()
	a, b := waits("a", 10), waits("b", 11)
	for name, tell := range map[string]func(*story){
		"two in order": func(s *story) {
			s.commit(s.enter(a)).commit(s.enter(b)).commit(s.admit(1, 1, a)).commit(start(taken(1, 1, a)))
			s.commit(s.admit(2, 2, b)).commit(finish(running(1, 1, a), "completed")).commit(finish(taken(2, 2, b), "cancelled"))
		},
		"both at once": func(s *story) {
			s.commit(together(s.enter(a), s.enter(b))).commit(together(s.admit(2, 1, b), s.admit(1, 2, a)))
		},
		"released and given again": func(s *story) {
			s.commit(together(s.enter(a), s.enter(b))).commit(s.admit(1, 1, a))
			s.commit(s.release(taken(1, 1, a), a)).commit(s.admit(2, 2, a)).commit(s.admit(1, 3, b))
		},
		"recorded as begun, released by its worker, and given again": func(s *story) {
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(start(taken(1, 1, a)))
			s.commit(s.release(running(1, 1, a), a)).commit(s.admit(1, 2, a)).commit(finish(taken(1, 2, a), "completed"))
		},
		"tried again": func(s *story) {
			pause := row("id", "a", "queue_id", 1, "attempt", 2)
			again := waits("a", 12).with("attempt", 2)
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(start(taken(1, 1, a)))
			s.commit([]Change{update("slots", running(1, 1, a), slot(1)), insert("delayed", pause)})
			s.commit(together([]Change{remove("delayed", pause)}, s.enter(again)))
			s.commit(s.admit(1, 2, again)).commit(start(taken(1, 2, again))).commit(finish(running(1, 2, again), "failed"))
		},
		"one that has waited too long is passed over": func(s *story) {
			late := a.with("wait_until", "2026-01-01 09:59:59+00")
			s.commit(together(s.enter(late), s.enter(b))).commit(s.admit(1, 1, b))
			s.commit(together([]Change{remove("waiting", late), insert("finished", row("id", "a", "status", "timeout"))},
				s.depart(1, 11)))
		},
		"a limit is lowered below what runs": func(s *story) {
			gate := row("id", 1, "scope", "ops.a", "concurrency_limit", 2, "started", 0)
			s.commit([]Change{insert("gates", gate)}).commit(together(s.enter(a), s.enter(b)))
			s.commit(together(s.admit(1, 1, a), s.admit(2, 2, b)))
			s.commit([]Change{update("gates", gate, gate.with("concurrency_limit", 1))}).commit(start(taken(1, 1, a)))
		},
		"starts a window apart": func(s *story) { rated(s, "2026-01-01 10:00:10+00") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begun()
			tell(s)
			for _, v := range Check(s.all) {
				t.Error(v)
			}
		})
	}
}

// rated starts two executions under a rate limit of one in ten seconds, the second of them at the given time.
func rated(s *story, second string) {
	gate := row("id", 1, "scope", "ops", "rate_limit", 1, "rate_window", "00:00:10", "started", 0)
	a, b := waits("a", 10), waits("b", 11)
	s.commit([]Change{insert("gates", gate)}).commit(together(s.enter(a), s.enter(b)))
	for i, r := range []Row{a, b} {
		at := []string{"2026-01-01 10:00:00+00", second}[i]
		s.commit(together(s.admit(i+1, i+1, r), []Change{
			insert("starts", row("gate_id", 1, "number", i+1, "at", at)),
			update("gates", gate.with("started", i), gate.with("started", i+1)),
		}))
	}
}

func TestBadHistories(t *testing.T) {
	t.Parallel()
	a, b := waits("a", 10), waits("b", 11)
	for name, test := range map[string]struct {
		rule Rule
		says string
		tell func(*story)
	}{
		"the second overtakes the head": {RuleOrder, "while execution a with ticket 10 waits in front of it", func(s *story) {
			s.commit(together(s.enter(a), s.enter(b))).commit(s.admit(1, 1, b))
		}},
		"an earlier ticket commits later": {RuleOrder, "enters queue 1 with ticket 10 after ticket 11", func(s *story) {
			s.commit(s.enter(b)).commit(s.enter(a))
		}},
		"two at limit one": {RuleLimit, "leaves 2 slots taken of ops.a, whose limit is 1", func(s *story) {
			s.commit([]Change{insert("gates", row("id", 1, "scope", "ops.a", "concurrency_limit", 1))})
			s.commit(together(s.enter(a), s.enter(b))).commit(s.admit(1, 1, a)).commit(s.admit(2, 2, b))
		}},
		"two of one key at limit one": {RuleLimit, "leaves 2 slots taken of queue 1", func(s *story) {
			s.commit([]Change{insert("gates", row("id", 1, "scope", "ops.a", "queue_limit", 1))})
			s.commit(together(s.enter(a), s.enter(b))).commit(together(s.admit(1, 1, a), s.admit(2, 2, b)))
		}},
		"two above the limit of all": {RuleLimit, "of all, whose limit is 1", func(s *story) {
			s.commit([]Change{insert("gates", row("id", 1, "scope", "", "concurrency_limit", 1))})
			s.commit(together(s.enter(a), s.enter(b))).commit(s.admit(1, 1, a)).commit(s.admit(2, 2, b))
		}},
		"starts too close": {RuleRate, "are 9.999s apart, but only 1 may start within 10s", func(s *story) {
			rated(s, "2026-01-01 10:00:09.999+00")
		}},
		"a start that is not recorded": {RuleRate, "1 executions of ops were admitted, and 0 starts recorded",
			func(s *story) {
				s.commit([]Change{insert("gates", row("id", 1, "scope", "ops", "rate_limit", 1, "rate_window", "00:00:10"))})
				s.commit(s.enter(a)).commit(s.admit(1, 1, a))
			}},
		"one in two places": {RuleState, "execution a is in 2 locations", func(s *story) {
			s.commit(s.enter(a)).commit(together([]Change{update("slots", slot(1), taken(1, 1, a))}))
		}},
		"one is lost": {RuleState, "execution a is in 0 locations", func(s *story) {
			s.commit(s.enter(a)).commit(together([]Change{remove("waiting", a)}, s.depart(1, 10)))
		}},
		"one ends twice": {RuleState, "execution a is in 2 locations", func(s *story) {
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(finish(taken(1, 1, a), "failed"))
			s.commit([]Change{insert("finished", row("id", "a", "status", "cancelled"))})
		}},
		"one that is over runs again": {RuleState, "DELETE of finished execution a", func(s *story) {
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(finish(taken(1, 1, a), "failed"))
			s.commit(together([]Change{remove("finished", row("id", "a"))}, s.enter(waits("a", 12))))
		}},
		"what is to be stopped goes back": {RuleState, "goes back to its queue and is canceling", func(s *story) {
			stopping := taken(1, 1, a).with("status", "canceling")
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit([]Change{update("slots", taken(1, 1, a), stopping)})
			s.commit(s.release(stopping, a))
		}},
		"what is to be stopped completes": {RuleState, "is completed and was canceling", func(s *story) {
			stopping := taken(1, 1, a).with("status", "canceling")
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit([]Change{update("slots", taken(1, 1, a), stopping)})
			s.commit(finish(stopping, "completed"))
		}},
		"a release with another ticket": {RuleOrder, "goes from ticket 10 to ticket 12", func(s *story) {
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(s.release(taken(1, 1, a), waits("a", 12)))
		}},
		"a start that is taken back": {RuleState, "goes from running to scheduled", func(s *story) {
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(start(taken(1, 1, a)))
			s.commit([]Change{update("slots", running(1, 1, a), taken(1, 1, a))})
		}},
		"a claim that is given twice": {RuleClaim, "gets claim 1, which was given before", func(s *story) {
			s.commit(together(s.enter(a), s.enter(b))).commit(s.admit(1, 1, a)).commit(s.admit(2, 1, b))
		}},
		"a retry that does not count": {RuleAttempt, "attempt 1 of execution a follows attempt 1", func(s *story) {
			s.commit(s.enter(a)).commit(s.admit(1, 1, a)).commit(start(taken(1, 1, a)))
			s.commit([]Change{update("slots", running(1, 1, a), slot(1)), insert("delayed", row("id", "a", "attempt", 1))})
		}},
		"a count that is off": {RuleCount, "counts 1 entered and 0 departed, and 0 wait", func(s *story) {
			s.commit(s.enter(a)).commit([]Change{remove("waiting", a), update("slots", slot(1), taken(1, 1, a))})
		}},
		"one that admission does not see": {RuleCount, "admission looks only behind ticket 10", func(s *story) {
			s.commit(s.enter(a)).commit(s.depart(0, 10))
		}},
		"one in the queue of another key": {RuleOrder,
			`"{\"n\":1}" stands in queue 1, which is that of ops.a with the key ""`, func(s *story) {
				s.commit([]Change{insert("gates", row("id", 1, "scope", "ops.a", "concurrency_key", "{n}"))}).commit(s.enter(a))
			}},
		"one that waited too long and starts after all": {RuleOrder, "gets a slot after others behind it", func(s *story) {
			late := a.with("wait_until", "2026-01-01 09:59:59+00")
			s.commit(together(s.enter(late), s.enter(b))).commit(s.admit(1, 1, b)).commit(s.admit(2, 2, late))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begun()
			test.tell(s)
			found := Check(s.all)
			for _, v := range found {
				if v.Rule == test.rule && strings.Contains(v.Text, test.says) {
					return
				}
			}
			t.Errorf("found %v, want one of %s that says %q", found, test.rule, test.says)
		})
	}
}

func TestWhatWasAcknowledgedMustEnd(t *testing.T) {
	t.Parallel()
	s := begun()
	a, b := waits("a", 10), waits("b", 11)
	s.commit(s.enter(a)).commit(s.enter(b)).commit(s.admit(1, 1, a)).commit(finish(taken(1, 1, a), "failed"))
	found := CheckDrained(s.all, []string{"a", "c"})
	var says []string
	for _, v := range found {
		says = append(says, v.Text)
	}
	want := []string{
		"execution c was acknowledged and is not finished: it is []",
		"execution b, which was never acknowledged, is still in waiting",
	}
	if strings.Join(says, "\n") != strings.Join(want, "\n") {
		t.Errorf("found %q, want %q", says, want)
	}
}
