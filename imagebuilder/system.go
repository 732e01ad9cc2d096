package imagebuilder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// debianKeyrings are where the package debian-archive-keyring puts its file. Other distributions have to be told.
var debianKeyrings = []string{"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"}

// makeSystem writes a Debian root as a tar. The tool runs on the host: it unpacks Debian's signed packages and nobody
// else's code.
func (b *Builder) makeSystem(ctx context.Context, w io.Writer, log io.Writer) (err error) {
	args := []string{
		"--variant=apt",
		"--architectures=" + b.definition.Architecture,
		"--include=" + strings.Join(b.definition.Packages, ","),
		// What nobody reads in a sandbox; licenses stay. The choice is kept inside for packages installed later.
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--format=tar",
	}
	for _, keyring := range debianKeyrings {
		if _, err := os.Stat(keyring); err == nil {
			args = append(args, "--keyring="+keyring)
			break
		}
	}
	args = append(args, b.definition.Suite, "-")
	if b.config.DebianMirror != "" {
		args = append(args, b.config.DebianMirror)
	}
	// Swept by name, should it be killed before it could clean up.
	dir, err := os.MkdirTemp(b.config.WorkDir, b.workspaceID("system-*"))
	if err != nil {
		return fmt.Errorf("install Debian: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	complaints := newTail(log, func(line string) bool { return strings.HasPrefix(line, "E: ") })
	command := exec.CommandContext(ctx, "mmdebstrap", args...)
	command.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"TMPDIR=" + dir,
		"SOURCE_DATE_EPOCH=" + strconv.FormatInt(epoch.Unix(), 10),
	}
	command.Stdin = bytes.NewReader(nil)
	command.Stdout = w
	command.Stderr = complaints.stream()
	// It takes its mounts down when it is asked to end.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	err = command.Run()
	complaints.end()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("mmdebstrap is not installed: %w", err)
		}
		return fmt.Errorf("install Debian: %w: %s", errors.Join(err, ctx.Err()), complaints.reason())
	}
	return nil
}
