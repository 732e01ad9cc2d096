package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"attune"
	"attune/cmd/attune/internal/client"
)

type tokenCommands struct {
	Create tokenCreateCommand `cmd:"" help:"Create a token and print it, once."`
	List   tokenListCommand   `cmd:"" help:"List tokens."`
	Delete tokenDeleteCommand `cmd:"" help:"Delete a token; it stops working at once."`
}

type tokenCreateCommand struct {
	Name      string      `arg:"" help:"Name of the token, for people; it need not be unique."`
	Role      attune.Role `enum:"admin,operator,viewer" default:"operator" help:"Role: ${enum}."`
	Pack      []string    `help:"Limit the token to this pack. Repeatable."`
	ExpiresIn duration    `placeholder:"TIME" help:"How long the token works: 12h, 30d; without it, the token does not expire."`
}

// Help is the long text of `attune token create --help`.
func (*tokenCreateCommand) Help() string {
	return `A viewer reads. An operator also runs and cancels executions. An admin also installs packs, sets secrets and
policies, forgets workers and creates tokens.

The token is printed to stdout, this once: keep it in a file that only its user can read.

Examples:

    (umask 077 && attune token create ci --role operator --pack weather --expires-in 30d > ci.token)
    attune --token-file ci.token run weather.report -p observations="$(cat observations.xml)" --wait
`
}

// Run does what the type says.
func (t *tokenCreateCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	request := map[string]any{"name": t.Name, "role": t.Role}
	if len(t.Pack) > 0 {
		request["packs"] = t.Pack
	}
	if t.ExpiresIn > 0 {
		request["expires_at"] = time.Now().Add(time.Duration(t.ExpiresIn)).UTC()
	}
	answer, err := c.Send(ctx, http.MethodPost, client.Path("tokens"), nil, request)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var made struct {
		attune.Token
		Secret string `json:"token"`
	}
	if err := answer.Decode(&made); err != nil {
		return err
	}
	writef(s.stdout, "%s\n", made.Secret)
	if s.stdoutTerminal {
		s.notef("this is the only time that the token of %s (%s) is shown", made.Name, made.Role)
	}
	return nil
}

type tokenListCommand struct{}

// Run does what the command's help says.
func (*tokenListCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	tokens, raw, err := fetchList[attune.Token](ctx, c, client.Path("tokens"), nil, 0)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{"ID", "NAME", "ROLE", "PACKS", "CREATED", "EXPIRES", "LAST USED"}}
	for _, token := range tokens {
		packs := "all"
		if len(token.Packs) > 0 {
			packs = strings.Join(token.Packs, ",")
		}
		t.add(token.ID, token.Name, string(token.Role), packs, s.when(&token.CreatedAt),
			orDash(s.when(token.ExpiresAt)), orDash(s.when(token.LastUsedAt)))
	}
	s.printTable(t)
	return nil
}

type tokenDeleteCommand struct {
	ID string `arg:"" name:"id" help:"Id of the token, as in the list."`
}

// Run does what the command's help says.
func (t *tokenDeleteCommand) Run(ctx context.Context, s *session) error {
	return s.remove(ctx, client.Path("tokens", t.ID), nil, "token "+t.ID)
}
