package scheduler

import (
	"embed"
	"regexp"
	"strings"
)

//go:embed sql/*.sql
var files embed.FS

// The statements that move executions; each file says what must hold when it runs.
var (
	admitSQL        = statement("admit")
	admitFewSQL     = statement("admit_few")
	admitPlainSQL   = statement("admit_plain")
	delaySQL        = statement("delay")
	dueSQL          = statement("due")
	enqueueSQL      = statement("enqueue")
	finishSQL       = statement("finish")
	handBackSQL     = statement("hand_back")
	leaveSQL        = statement("leave")
	leaveDelayedSQL = statement("leave_delayed")
	promoteSQL      = statement("promote")
	startSQL        = statement("start")
)

// runColumns are what an execution takes along wherever it stands; {{run}} in a statement, {{x.run}} of an alias x.
var runColumns = []string{"action", "pack", "pack_version", "installation_id", "image_digest", "parameters"}

var placeholder = regexp.MustCompile(`\{\{(?:(\w)\.)?run\}\}`)

// statement reads a file and fills in its lists of columns.
func statement(name string) string {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // it is in the binary or the binary is broken
	}
	return placeholder.ReplaceAllStringFunc(string(text), func(found string) string {
		parts := placeholder.FindStringSubmatch(found)
		if parts[1] == "" {
			return strings.Join(runColumns, ", ")
		}
		return parts[1] + "." + strings.Join(runColumns, ", "+parts[1]+".")
	})
}
