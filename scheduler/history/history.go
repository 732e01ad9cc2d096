package history

import "fmt"

// tables are those that tell where executions are and what bounds them.
var tables = []string{"waiting", "delayed", "slots", "finished", "gates", "starts", "queues", "heads"}

// Row is a row of a table: the text of each column that is not null.
type Row map[string]string

// Op is what became of a row.
type Op string

// What becomes of rows.
const (
	Insert Op = "INSERT"
	Update Op = "UPDATE"
	Delete Op = "DELETE"
)

// Change is one row's. Old is nil for an Insert, New for a Delete.
type Change struct {
	Table    string
	Op       Op
	Old, New Row
}

// Transaction is one that committed, with its changes in their order.
type Transaction struct {
	XID     string
	Changes []Change
}

// Rule is a promise of the queue.
type Rule string

// The promises that Check knows.
const (
	// RulePlace: an execution is in one place at a time, moves only where the state machine lets it, and ends once.
	RulePlace Rule = "place"
	// RuleOrder: tickets enter a queue in the order of the commits and leave it from the front.
	RuleOrder Rule = "order"
	// RuleLimit: no admission leaves more slots taken than a policy in force allows.
	RuleLimit Rule = "limit"
	// RuleRate: of a rate limit N, start n+N lies at least a window after start n.
	RuleRate Rule = "rate"
	// RuleAttempt: attempts count from one, and each has a ticket of its own.
	RuleAttempt Rule = "attempt"
	// RuleClaim: a claim is given once, and an attempt begins at most once.
	RuleClaim Rule = "claim"
	// RuleCount: what the queues say of who waits agrees with who waits, and nobody who waits is out of sight of
	// admission.
	RuleCount Rule = "count"
	// RuleEnd: what was acknowledged comes to its end.
	RuleEnd Rule = "end"
)

// Violation is a broken promise.
type Violation struct {
	// Position is the index of the transaction that broke it; the number of all for what was missing at the end.
	Position int
	XID      string
	Rule     Rule
	Text     string
}

func (v Violation) String() string {
	return fmt.Sprintf("transaction %d (xid %s) breaks %s: %s", v.Position, v.XID, v.Rule, v.Text)
}
