package history

import "fmt"

// tables are those that hold executions, and those that hold the limits.
var tables = []string{"waiting", "delayed", "slots", "finished", "gates", "starts", "queues", "heads"}

// Row is a row of a table: the text of each column that is not null.
type Row map[string]string

// Op is a kind of change.
type Op string

// The kinds of changes.
const (
	Insert Op = "INSERT"
	Update Op = "UPDATE"
	Delete Op = "DELETE"
)

// Change is the change of one row. Old is nil for an Insert, New for a Delete.
type Change struct {
	Table    string
	Op       Op
	Old, New Row
}

// Transaction is a committed transaction with its changes in their order.
type Transaction struct {
	XID     string
	Changes []Change
}

// Rule is a part of the queue's contract.
type Rule string

// The rules that Check knows.
const (
	// RuleState: an execution is in one table at a time, moves only as the state machine allows, and ends once.
	RuleState Rule = "state"
	// RuleOrder: tickets enter a queue in the order of the commits and leave it from the front.
	RuleOrder Rule = "order"
	// RuleLimit: no admission leaves more slots taken than a policy allows.
	RuleLimit Rule = "limit"
	// RuleRate: of a rate limit N, start n+N lies at least a window after start n.
	RuleRate Rule = "rate"
	// RuleAttempt: attempts count from one, and each has a ticket of its own.
	RuleAttempt Rule = "attempt"
	// RuleClaim: a claim is given once, and an attempt begins at most once.
	RuleClaim Rule = "claim"
	// RuleCount: the counts of each queue agree with its waiting executions, and admission considers all of these.
	RuleCount Rule = "count"
	// RuleEnd: every acknowledged execution finishes.
	RuleEnd Rule = "end"
)

// Violation is a broken rule.
type Violation struct {
	// Position is the index of the transaction that broke the rule; the number of all transactions for RuleEnd.
	Position int
	XID      string
	Rule     Rule
	Text     string
}

func (v Violation) String() string {
	return fmt.Sprintf("transaction %d (xid %s) breaks %s: %s", v.Position, v.XID, v.Rule, v.Text)
}
