package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"attune"
)

// modelWindow is long enough for the clock not to matter; the test moves the starts instead.
const modelWindow = 10_000

// modelScopes have policies.
var modelScopes = []string{"", "ops", "web", "ops.a", "web.a"}

// gateModel is a limit and a rate of one scope; 0 is none.
type gateModel struct{ limit, rate int }

// lineModel says which executions may go, one after the other in the order of their tickets.
type lineModel struct {
	gates   map[string]gateModel // by scope as text
	keyed   string               // the action whose queues have a limit each
	perKey  int
	now     int
	starts  map[string][]int
	waiting []waitModel
	held    map[string]waitModel
}

type waitModel struct{ id, action, pack, queue string }

func (w waitModel) scopes() []string { return []string{"", w.pack, w.action} }

func (m *lineModel) admit(n int) (admitted []string) {
	closed := map[string]bool{}
	for _, w := range slices.Clone(m.waiting) {
		if len(admitted) == n {
			break
		}
		// An execution that is held up holds up those behind it.
		if closed[w.queue] || !m.open(w) {
			closed[w.queue] = true
			continue
		}
		admitted = append(admitted, w.id)
		m.held[w.id] = w
		m.waiting = slices.DeleteFunc(m.waiting, func(o waitModel) bool { return o.id == w.id })
		for _, s := range w.scopes() {
			m.starts[s] = append(m.starts[s], m.now)
		}
	}
	return admitted
}

func (m *lineModel) open(w waitModel) bool {
	for _, scope := range w.scopes() {
		taken, started := 0, 0
		for _, h := range m.held {
			if slices.Contains(h.scopes(), scope) {
				taken++
			}
		}
		for _, at := range m.starts[scope] {
			if at > m.now-modelWindow {
				started++
			}
		}
		g := m.gates[scope]
		if g.limit > 0 && taken >= g.limit || g.rate > 0 && started >= g.rate {
			return false
		}
	}
	taken := 0
	for _, h := range m.held {
		if h.queue == w.queue {
			taken++
		}
	}
	return w.action != m.keyed || taken < m.perKey
}

// TestAdmissionIsLikeItsModel: over random submissions, ends, moves of the clock and changes of limits, each
// admission takes the same as going through all tickets in order, and passing over those that a gate has no room for.
func TestAdmissionIsLikeItsModel(t *testing.T) {
	t.Parallel()
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			compareWithModel(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func compareWithModel(t *testing.T, random *rand.Rand) {
	q := setup(t, keyed("k", 2), action("a", 0), action("b", 0))
	installedAs(t, q.db, "web", action("a", 0), action("b", 0))
	m := &lineModel{gates: map[string]gateModel{}, keyed: "ops.k", perKey: 2, starts: map[string][]int{},
		held: map[string]waitModel{}}
	claims := map[string]Claim{}
	// Every scope has a rate limit from the beginning, so that all starts are known when it changes.
	for _, scope := range modelScopes {
		setModel(t, q, m, scope, gateModel{rate: 1000})
	}
	for step := range 150 {
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			for range random.IntN(5) {
				m.submit(t, q, random)
			}
		case 4, 5:
			for id, c := range claims {
				if random.IntN(2) == 0 {
					end(t, q, "w", c)
					delete(claims, id)
					delete(m.held, id)
				}
			}
		case 6:
			forward := 1000 * (1 + random.IntN(5))
			execute(t, q, `update starts set at = at - $1 * interval '1 second'`, forward)
			m.now += forward
		case 7:
			setModel(t, q, m, modelScopes[random.IntN(len(modelScopes))],
				gateModel{limit: random.IntN(6), rate: 1 + random.IntN(12)})
		default:
			n := 1 + random.IntN(8)
			got := admit(t, q, "w", n)
			if want := m.admit(n); !slices.Equal(ids(got), want) {
				t.Fatalf("step %d: admitted %v, want %v\ngates %+v", step, ids(got), want, m.gates)
			}
			for _, c := range got {
				claims[c.ID] = c
			}
		}
	}
}

func (m *lineModel) submit(t *testing.T, q *Queue, random *rand.Rand) {
	t.Helper()
	ref := []string{"ops.k", "ops.a", "ops.b", "web.a", "web.b"}[random.IntN(5)]
	parameters := `{}`
	if ref == "ops.k" {
		parameters = fmt.Sprintf(`{"customer":%d}`, random.IntN(3))
	}
	e := submitWith(t, q, ref, parameters)
	m.waiting = append(m.waiting, waitModel{e.ID, ref, e.Pack, ref + e.Key})
}

func setModel(t *testing.T, q *Queue, m *lineModel, text string, g gateModel) {
	t.Helper()
	m.gates[text] = g
	p := rate(g.rate, modelWindow)
	if g.limit > 0 {
		p.Concurrency = &attune.Concurrency{Limit: g.limit}
	}
	scope := attune.Scope{Pack: text}
	if _, _, ok := attune.SplitActionRef(text); ok {
		scope = attune.Scope{Action: text}
	}
	setPolicy(t, q, scope, p)
}
