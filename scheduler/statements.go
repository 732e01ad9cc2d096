package scheduler

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed sql
var files embed.FS

// The statements that move executions; each file says what must hold when it runs.
var (
	admitSQL        = statement("admit")
	admitPlainSQL   = statement("admit_plain")
	claimsSQL       = statement("claims")
	deadlineSQL     = statement("deadline")
	delaySQL        = statement("delay")
	enqueueSQL      = statement("enqueue")
	finishSQL       = statement("finish")
	leaveSQL        = statement("leave")
	leaveDelayedSQL = statement("leave_delayed")
	leftSQL         = statement("left")
	promoteSQL      = statement("promote")
	releaseSQL      = statement("release")
	startSQL        = statement("start")
)

// runColumns are what an execution takes along wherever it stands; {{run}} in a statement, {{x.run}} of an alias x.
var runColumns = []string{"action", "pack", "pack_version", "installation_id", "image_digest", "parameters"}

// claimColumns are the columns of slots that a Claim is read from, in the order of scanClaims; {{claim}} in a
// statement.
var claimColumns = []string{"number", "claim", "ticket", "id", "attempt", "action", "pack", "pack_version",
	"installation_id", "image_digest", "parameters", "created_at"}

var (
	placeholder = regexp.MustCompile(`\{\{(?:(\w)\.)?(run|claim|slot)\}\}`)
	argument    = regexp.MustCompile(`@([a-z_]+)`)
	comment     = regexp.MustCompile(`--.*`)
)

// sqlText is a statement with its arguments in the order in which it numbers them.
type sqlText struct {
	text  string
	names []string
}

// statement reads a file, fills in its placeholders and numbers its arguments, @name in the file. It panics where a
// file is not as it should be: the binary is broken then.
func statement(name string) sqlText {
	text := placeholder.ReplaceAllStringFunc(read(name), func(found string) string {
		parts := placeholder.FindStringSubmatch(found)
		switch parts[2] {
		case "slot":
			return read("fragments/slot")
		case "claim":
			return strings.Join(claimColumns, ", ")
		}
		if parts[1] == "" {
			return strings.Join(runColumns, ", ")
		}
		return parts[1] + "." + strings.Join(runColumns, ", "+parts[1]+".")
	})
	return numbered(comment.ReplaceAllString(text, ""))
}

func read(name string) string {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// numbered replaces each @name by the $n that PostgreSQL knows.
func numbered(text string) sqlText {
	var s sqlText
	numbers := make(map[string]int)
	s.text = argument.ReplaceAllStringFunc(text, func(found string) string {
		name := found[1:]
		if numbers[name] == 0 {
			s.names = append(s.names, name)
			numbers[name] = len(s.names)
		}
		return fmt.Sprintf("$%d", numbers[name])
	})
	return s
}

// args returns the values in the order of the statement. Every argument must have one.
func (s sqlText) args(values pgx.NamedArgs) []any {
	args := make([]any, len(s.names))
	for i, name := range s.names {
		value, ok := values[name]
		if !ok {
			panic("no value for @" + name)
		}
		args[i] = value
	}
	return args
}

// queue adds the statement to a batch.
func (s sqlText) queue(batch *pgx.Batch, values pgx.NamedArgs) *pgx.QueuedQuery {
	return batch.Queue(s.text, s.args(values)...)
}
