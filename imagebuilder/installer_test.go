package imagebuilder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"strings"
	"testing"

	"attune"
	"attune/storage/storagetest"
)

// Others may write to the bucket: an object named by a digest must have that digest.
func TestStoredArchiveMustBeTheOneThatWasUploaded(t *testing.T) {
	t.Parallel()
	objects, staging := storagetest.OpenObjects(t), t.TempDir()
	in := &Installer{Objects: objects, StagingDir: staging, Log: slog.New(slog.DiscardHandler)}
	content := []byte("not the archive that was uploaded")
	sum := sha256.Sum256(content)
	for sha, want := range map[string]string{
		strings.Repeat("0", 64):    "is not the one that was uploaded",
		hex.EncodeToString(sum[:]): "not a pack archive",
	} {
		if err := objects.PutArchive(t.Context(), "ops", "1.0.0", sha, bytes.NewReader(content),
			int64(len(content))); err != nil {
			t.Fatal(err)
		}
		_, err := in.fetch(t.Context(), attune.Installation{Pack: "ops", Version: "1.0.0", ArchiveSHA256: sha})
		if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("archive under %.8s: %v, want %q", sha, err, want)
		}
	}
	if left, err := os.ReadDir(staging); err != nil || len(left) > 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}
