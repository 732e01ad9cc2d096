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

// debianKeyrings are the paths of the package debian-archive-keyring. On other distributions, the tool must be given
// one.
var debianKeyrings = []string{"/usr/share/keyrings/debian-archive-keyring.gpg",
	"/usr/share/keyrings/debian-archive-keyring.pgp"}

// makeSystem writes a Debian root as a tar. The tool runs on the host, since it runs no code but that of Debian's
// signed packages.
func (b *Builder) makeSystem(ctx context.Context, w io.Writer, log io.Writer) (err error) {
	args := []string{
		"--variant=apt",
		"--architectures=" + b.definition.Architecture,
		"--include=" + strings.Join(b.definition.Packages, ","),
		// Manuals and translations are left out, licenses stay. The image keeps the rule for packages installed later.
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
	// The next builder removes it by its name if this one is killed.
	dir, err := os.MkdirTemp(b.config.WorkDir, b.workspaceID("system-*"))
	if err != nil {
		return fmt.Errorf("install Debian: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	complaints := newStepOutput(log, aptReading)
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
	// The tool unmounts its mounts on SIGTERM.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	err = command.Run()
	complaints.end()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("mmdebstrap is not installed: %w", err)
		}
		return fmt.Errorf("install Debian: %w: %s", errors.Join(err, ctx.Err()), complaints.seen().reason)
	}
	return nil
}
