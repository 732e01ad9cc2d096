package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attune"
	"attune/internal/daemon"
)

func TestAFolderThatOthersCannotReachIsRefused(t *testing.T) {
	t.Parallel()
	config := setup(t)
	closed := filepath.Join(config.Dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	config.Dir = filepath.Join(closed, "data")
	_, err := daemon.Start(t.Context(), config)
	if attune.CodeOf(err) != attune.CodeConflict || !strings.Contains(err.Error(), closed+" (mode 0700)") {
		t.Errorf("the error does not name the closed folder: %v", err)
	}
}

func TestAFolderWithALongPathIsRefused(t *testing.T) {
	t.Parallel()
	config := setup(t)
	if err := os.Chmod(config.Dir, 0o711); err != nil {
		t.Fatal(err)
	}
	config.Dir = filepath.Join(config.Dir, strings.Repeat("long/", 20))
	config.Postgres, config.MinIO = false, false
	_, err := daemon.Start(t.Context(), config)
	if attune.CodeOf(err) != attune.CodeConflict || !strings.Contains(err.Error(), "bytes too long") {
		t.Errorf("the error does not say that the path is too long: %v", err)
	}
}

func TestALostPasswordIsNoEndlessWait(t *testing.T) {
	t.Parallel()
	config := setup(t)
	config.MinIO, config.Containerd = false, false
	if err := start(t, config).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(config.Dir, "daemons.json")); err != nil {
		t.Fatal(err)
	}
	_, err := daemon.Start(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), "is not that of the cluster") {
		t.Errorf("the error does not say that the password does not fit: %v", err)
	}
	if found := processesIn(t, config.Dir); len(found) > 0 {
		t.Errorf("the failed Start left processes behind: %v", found)
	}
}

func TestWhatIsNotWantedAnyMoreEnds(t *testing.T) {
	t.Parallel()
	config := setup(t)
	startHelper(t, config)()
	config.Postgres, config.Containerd = false, false
	start(t, config)
	if found := processesIn(t, config.Dir); len(found) != 1 || len(found["minio"]) != 1 {
		t.Errorf("want one minio and nothing else, got %v", found)
	}
}
