package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attune"
)

const (
	databaseUser = "attune"
	databaseName = "attune"
	// postgresAccount is the account that PostgreSQL runs as when we are root; PostgreSQL refuses to run as root.
	postgresAccount = "postgres"
)

// postgres is a private cluster that listens on a unix socket alone. Only its owner and root may enter the folder of
// the socket, so no other user of the host can take its place while it restarts, and ask for the password.
type postgres struct {
	program
	saved  *settings
	dir    string
	more   []string            // settings
	binDir string              // known after prepare
	owner  *syscall.Credential // known after prepare; nil when we run as its owner
}

func newPostgres(config Config, saved *settings) *postgres {
	p := &postgres{saved: saved, dir: filepath.Join(config.Dir, "postgres"), more: config.PostgresSettings}
	p.program = program{
		name: "postgres",
		// PostgreSQL changes there itself; starting there lets owns recognize it from the start.
		home:     filepath.Join(p.dir, "data"),
		logPath:  filepath.Join(config.Dir, "log", "postgres.log"),
		command:  p.server,
		launcher: (*exec.Cmd).Start,
		ready:    p.ping,
		// Ends sessions and writes a checkpoint; SIGTERM would wait for the sessions to end.
		stopSignal: syscall.SIGINT,
	}
	return p
}

func (p *postgres) url(database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(databaseUser, p.saved.PostgresPassword),
		Path:   "/" + database,
		RawQuery: url.Values{
			"host": {p.dir}, "port": {strconv.Itoa(p.saved.PostgresPort)}, "sslmode": {"disable"},
		}.Encode(),
	}
	return u.String()
}

func (p *postgres) server() *exec.Cmd {
	options := []string{
		"listen_addresses=",
		"port=" + strconv.Itoa(p.saved.PostgresPort),
		"unix_socket_directories=" + p.dir,
		"max_connections=500",
		// Terse leaves out the detail of a failed constraint, which quotes the row.
		"log_error_verbosity=terse",
		"log_line_prefix=%m [%p] ",
	}
	args := []string{"-D", p.home}
	for _, option := range append(options, p.more...) {
		args = append(args, "-c", option)
	}
	return p.run("postgres", args...)
}

// run returns a command that runs as the cluster's owner, without our environment.
func (p *postgres) run(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.binDir, name), args...)
	cmd.Env = []string{"PATH=" + p.binDir + ":" + systemPath, "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + p.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	return cmd
}

// maxPostgresSocket is what the kernel allows for the path of a socket.
const maxPostgresSocket = 107

// prepare finds the programs and makes the cluster when there is none.
func (p *postgres) prepare(ctx context.Context) error {
	socket := filepath.Join(p.dir, ".s.PGSQL."+strconv.Itoa(p.saved.PostgresPort))
	if over := len(socket) - maxPostgresSocket; over > 0 {
		return attune.Errorf(attune.CodeConflict,
			"the path of the data folder %s is %d bytes too long for PostgreSQL's socket: choose a shorter one",
			filepath.Dir(p.dir), over)
	}
	if err := p.findOwner(); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(p.dir, 0o700), os.Chmod(p.dir, 0o700), p.give(p.dir)); err != nil {
		return fmt.Errorf("make PostgreSQL's folder: %w", err)
	}
	version, err := os.ReadFile(filepath.Join(p.home, "PG_VERSION"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the cluster's version: %w", err)
	}
	if p.binDir, err = findPostgres(strings.TrimSpace(string(version))); err != nil {
		return err
	}
	if len(version) > 0 {
		return nil
	}
	return p.initialize(ctx)
}

func (p *postgres) findOwner() error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup(postgresAccount)
	if err != nil {
		return attune.Errorf(attune.CodeUnavailable,
			"PostgreSQL does not run as root, and there is no user %s to run it: run make deps", postgresAccount)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return fmt.Errorf("read the ids of the user %s: %w", postgresAccount, err)
	}
	p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

// initialize makes the cluster in a temporary folder and renames it when it is complete.
func (p *postgres) initialize(ctx context.Context) error {
	fresh, passwordFile := filepath.Join(p.dir, "data.new"), filepath.Join(p.dir, "password")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	// A file, since other processes could read arguments and environment.
	if err := errors.Join(writeFile(passwordFile, []byte(p.saved.PostgresPassword)), p.give(passwordFile)); err != nil {
		return err
	}
	defer func() { _ = os.Remove(passwordFile) }()

	args := []string{
		"-D", fresh, "--username=" + databaseUser, "--pwfile=" + passwordFile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums",
	}
	if out, err := runBound(ctx, p.run("initdb", args...), p.dir); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(fresh, p.home); err != nil {
		return fmt.Errorf("put the cluster in place: %w", err)
	}
	return nil
}

// runBound runs a command that must not outlive this process or ctx.
func runBound(ctx context.Context, cmd *exec.Cmd, dir string) ([]byte, error) {
	// The kernel sends the signal when the thread that started the command ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Dir = dir
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	err := cmd.Wait()
	return []byte(out.String()), errors.Join(err, ctx.Err())
}

func (p *postgres) give(path string) error {
	if p.owner == nil {
		return nil
	}
	return os.Lchown(path, int(p.owner.Uid), int(p.owner.Gid))
}

// ping runs a query, and makes our database the first time.
func (p *postgres) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "28P01" {
		return fmt.Errorf("%w: the password in %s is not that of the cluster in %s", errPermanent, p.saved.path, p.home)
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, query, databaseName).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{databaseName}.Sanitize())
	return err
}
