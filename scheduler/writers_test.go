package scheduler

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// writesQueue finds a statement that changes a table of the queue.
var writesQueue = regexp.MustCompile(`(?i)\b(insert\s+into|update|delete\s+from|truncate(\s+table)?|merge\s+into)\s+` +
	`(only\s+)?(policies|gates|starts|queues|heads|waiting|delayed|slots|workers|finished|attempts|idempotency_keys)\b`)

// TestOnlyTheSchedulerWritesTheQueue: order and limits are argued from the statements in this folder, so there are no
// others. migrations make the tables; bench is a module of its own that fills databases of its own.
func TestOnlyTheSchedulerWritesTheQueue(t *testing.T) {
	t.Parallel()
	apart := map[string]bool{"scheduler": true, "migrations": true, "bench": true, "bin": true, "docs": true, ".git": true}
	read := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if rel, _ := filepath.Rel("..", path); apart[rel] {
				return filepath.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".sql" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		for _, found := range writesQueue.FindAllString(string(text), -1) {
			t.Errorf("%s writes the queue: %s", path, strings.Join(strings.Fields(found), " "))
		}
		return nil
	})
	if err != nil || read < 100 {
		t.Fatalf("read %d files: %v", read, err)
	}
}
