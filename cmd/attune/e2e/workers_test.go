package e2e

import (
	"path/filepath"
	"testing"

	"attune"
	"attune/storage"
)

// TestServerAndTwoWorkers spreads a service over three processes on one database.
func TestServerAndTwoWorkers(t *testing.T) {
	t.Parallel()
	binary, dir := build(t), tempDir(t)
	key := filepath.Join(dir, "secret.key")
	if err := storage.CreateKeyFile(key); err != nil {
		t.Fatal(err)
	}
	env := append(environment(t), "ATTUNE_KEY_FILE="+key)
	server := launch(t, binary, env, "server", "--data-dir", filepath.Join(dir, "server"), "--listen", "127.0.0.1:0")
	server.connect(t, filepath.Join(dir, "server"))
	for _, name := range []string{"one", "two"} {
		launch(t, binary, env, "worker", "--data-dir", filepath.Join(dir, name), "--capacity", "1")
	}
	server.install(t, files{
		"pack.yaml":         "ref: spread\nversion: 1.0.0\n",
		"actions/hold.yaml": "ref: hold\nentry_point: hold.sh\n",
		"actions/hold.sh":   "while true; do sleep 0.1; done\n",
	})
	var held []attune.Execution
	for range 2 {
		held = append(held, server.submit(t, "spread.hold", nil))
	}
	for i, e := range held {
		held[i] = server.await(t, e.ID, running)
	}
	if held[0].Worker == held[1].Worker {
		t.Errorf("%s runs both, though it has room for one", held[0].Worker)
	}
	for _, e := range held {
		server.must(t, "", "execution", "cancel", e.ID)
		if e = server.await(t, e.ID, over); e.Status != attune.StatusCancelled {
			t.Errorf("ended as %s for %s", e.Status, e.Reason)
		}
	}
}
