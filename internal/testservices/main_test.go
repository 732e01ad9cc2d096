package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asMain makes this test's program behave as the command.
const asMain = "ATTUNE_TESTSERVICES_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestCommandFindsTheServices(t *testing.T) {
	t.Parallel()
	status, output := run(t, `
		for name in DATABASE_URL S3_ENDPOINT CONTAINERD_ADDRESS BIN_DIR; do
			eval "test -n \"\$ATTUNE_TEST_$name\"" || { echo "$name is not set"; exit 1; }
		done
		test -n "$AWS_ACCESS_KEY_ID" && test -n "$AWS_SECRET_ACCESS_KEY" && test -n "$ATTUNE_CACHE_DIR" || exit 2
		test -S "$ATTUNE_TEST_CONTAINERD_ADDRESS" || exit 3
		test -x "$ATTUNE_TEST_BIN_DIR/runc" || exit 4
		echo "folder ${TMPDIR%/tmp}"
		exit 7`)
	if status != 7 {
		t.Errorf("status is %d, want the command's 7\n%s", status, output)
	}
	folder := wordAfter(output, "folder ")
	if _, err := os.Stat(folder); folder == "" || !os.IsNotExist(err) {
		t.Errorf("the folder %q is still there: %v", folder, err)
	}
}

func TestWhatIsLeftBehindFailsTheRun(t *testing.T) {
	t.Parallel()
	status, output := run(t, `
		setsid sleep infinity >/dev/null 2>&1 &
		mkdir "$TMPDIR/mount" && mount -t tmpfs none "$TMPDIR/mount" || exit 2
		"$ATTUNE_TEST_BIN_DIR/ctr" --address "$ATTUNE_TEST_CONTAINERD_ADDRESS" --namespace left \
			containers create --rootfs / forgotten || exit 3`)
	if status != exitFailed {
		t.Errorf("status is %d, want %d", status, exitFailed)
	}
	for _, want := range []string{": sleep infinity", "mount of tmpfs at ", "container forgotten in namespace left"} {
		if !strings.Contains(output, want) {
			t.Errorf("the output does not name %q:\n%s", want, output)
		}
	}
}

func TestTheInnerProcessMayDie(t *testing.T) {
	t.Parallel()
	status, output := run(t, `kill -KILL $PPID; exec sleep infinity`)
	if want := 128 + 9; status != want {
		t.Errorf("status is %d, want %d", status, want)
	}
	for _, want := range []string{"minio server", "containerd --config", "postgres -D"} {
		if !strings.Contains(output, want) {
			t.Errorf("the output does not name %q:\n%s", want, output)
		}
	}
}

// run runs a script as our command would.
func run(t *testing.T, script string) (status int, output string) {
	t.Helper()
	bin := os.Getenv("ATTUNE_TEST_BIN_DIR")
	if bin == "" {
		t.Fatal("ATTUNE_TEST_BIN_DIR is not set: run make test")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "--", "sh", "-c", script)
	cmd.Env = append(os.Environ(), asMain+"=1", "ATTUNE_BIN_DIR="+bin)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, string(out)
}

func wordAfter(text, before string) string {
	_, rest, _ := strings.Cut(text, before)
	word, _, _ := strings.Cut(rest, "\n")
	return word
}
