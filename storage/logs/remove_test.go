package logs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"attune/storage/logs"
	"attune/storage/storagetest"
)

func put(t *testing.T, b storagetest.Bucket, keys ...string) {
	t.Helper()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := i; j < len(keys); j += 8 {
				_, err := b.Client.PutObject(t.Context(), b.Name, keys[j], strings.NewReader(""), 0, minio.PutObjectOptions{})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestOldLogsAreRemovedByDay(t *testing.T) {
	t.Parallel()
	store, _, b := openLogs(t)
	first := time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)
	old := []string{
		logs.ExecutionPrefix("a", "one", first.Add(-time.Microsecond), "last") + "stdout.log",
		logs.ExecutionPrefix("a", "one", first.AddDate(-1, 5, 0), "year") + "attempt-1/stdout/00000000000000000000.log",
		logs.ExecutionPrefix("b", "two-2", first.AddDate(0, -1, 0), "month") + "result.json",
	}
	for i := range 1100 { // more than a page, and than one request removes
		old = append(old, logs.ExecutionPrefix("a", "many", first.AddDate(0, 0, -1), fmt.Sprint(i))+"stdout.log")
	}
	stays := []string{
		logs.ExecutionPrefix("a", "one", first.AddDate(0, 0, -1), "kept") + "attempt-1/stdout.log",
		logs.ExecutionPrefix("a", "one", first, "first") + "stdout.log",
		logs.ExecutionPrefix("a", "one", first.AddDate(1, -1, 0), "later") + "stdout.log",
		"executions/a/one/2030/01/31/loose", // none of ours
		"executions/a/one/2/01/31/id/other",
		"executions/a/one/notes/2020/01/01/id/other",
		"executions/readme",
		logs.InstallationPrefix("a", "id") + "install.log",
	}
	put(t, b, append(old, stays...)...)
	keep := func(id string) bool { return id == "kept" }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := store.RemoveDays(ended, first, keep); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended, %d were removed, %v", n, err)
	}
	for _, want := range []int{len(old), 0} {
		if n, err := store.RemoveDays(t.Context(), first, keep); n != want || err != nil {
			t.Fatalf("removed %d, %v, want %d", n, err, want)
		}
	}
	left := make(map[string]bool)
	for _, key := range b.Keys("") {
		left[key] = true
	}
	for _, key := range stays {
		if !left[key] {
			t.Errorf("%s is gone", key)
		}
	}
	if len(left) != len(stays) {
		t.Errorf("%d objects are left, want %d", len(left), len(stays))
	}
}
