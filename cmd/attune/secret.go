package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"unicode/utf8"

	"attune"
	"attune/cmd/attune/internal/client"
)

type secretCommands struct {
	Set    secretSetCommand    `cmd:"" help:"Set a secret to the value on stdin."`
	List   secretListCommand   `cmd:"" help:"List secrets, without their values."`
	Delete secretDeleteCommand `cmd:"" help:"Delete a secret."`
}

// scopeFlags are the scope of a secret.
type scopeFlags struct {
	Pack   string `xor:"scope" help:"Pack whose actions read the secret; without --pack and --action, all read it."`
	Action string `xor:"scope" placeholder:"PACK.ACTION" help:"Action that reads the secret."`
}

func (f scopeFlags) query() url.Values {
	query := url.Values{}
	if f.Pack != "" {
		query.Set("pack", f.Pack)
	}
	if f.Action != "" {
		query.Set("action", f.Action)
	}
	return query
}

// String is the scope in the words of a list.
func (f scopeFlags) String() string {
	switch {
	case f.Action != "":
		return "action " + f.Action
	case f.Pack != "":
		return "pack " + f.Pack
	default:
		return "global"
	}
}

type secretSetCommand struct {
	Name string `arg:"" help:"Name that actions declare."`
	scopeFlags
}

// Help is the long text of `attune secret set --help`.
func (*secretSetCommand) Help() string {
	return `The value is read from stdin: at a prompt that does not show it, or from a pipe up to its end. One newline at
the end is cut off. There is no flag for the value: all users of the host can read arguments, and the shell's history
keeps them.

An action gets the secret of its own scope, else its pack's, else the global one.

Examples:

    attune secret set api_key
    attune secret set signing_key --pack weather < key.txt
    openssl rand -hex 32 | attune secret set webhook_secret --action inventory.check
`
}

// Run does what the type says.
func (c *secretSetCommand) Run(ctx context.Context, s *session) error {
	service, err := s.client()
	if err != nil {
		return err
	}
	defer service.Close()
	value, err := s.readSecret(c.Name)
	if err != nil {
		return err
	}
	body := map[string]string{"value": value}
	answer, err := service.Send(ctx, http.MethodPut, client.Path("secrets", c.Name), c.query(), body)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	writef(s.stdout, "secret %s set (%s)\n", c.Name, c.scopeFlags)
	return nil
}

// readSecret reads a value without leaving a trace of it anywhere.
func (s *session) readSecret(name string) (string, error) {
	var value []byte
	var err error
	if s.readHidden != nil {
		writef(s.stderr, "value of %s (not shown): ", name)
		value, err = s.readHidden()
		writef(s.stderr, "\n")
	} else {
		value, err = io.ReadAll(io.LimitReader(s.stdin, attune.MaxSecretBytes+3)) // Room for a newline, and one too many.
		value = bytes.TrimSuffix(value, []byte("\n"))
		value = bytes.TrimSuffix(value, []byte("\r"))
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("read value: %w", err)
	case len(value) == 0:
		return "", usagef("the value of %s is empty", name)
	case len(value) > attune.MaxSecretBytes:
		return "", usagef("the value of %s is larger than %d KiB", name, attune.MaxSecretBytes>>10)
	case !utf8.Valid(value):
		return "", usagef("the value of %s is not UTF-8 text; encode it first, for instance with base64", name)
	}
	return string(value), nil
}

type secretListCommand struct{}

// Run does what the command's help says.
func (*secretListCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	secrets, raw, err := fetchList[attune.Secret](ctx, c, client.Path("secrets"), nil, 0)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{"SECRET", "SCOPE", "UPDATED"}}
	for _, secret := range secrets {
		t.add(secret.Name, scopeFlags{Pack: secret.Pack, Action: secret.Action}.String(), s.when(&secret.UpdatedAt))
	}
	s.printTable(t)
	return nil
}

type secretDeleteCommand struct {
	Name string `arg:"" help:"Secret to delete."`
	scopeFlags
}

// Run does what the command's help says.
func (c *secretDeleteCommand) Run(ctx context.Context, s *session) error {
	return s.remove(ctx, client.Path("secrets", c.Name), c.query(), fmt.Sprintf("secret %s (%s)", c.Name, c.scopeFlags))
}
