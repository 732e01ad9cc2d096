package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"attune"
	"attune/cmd/attune/internal/client"
)

type packCommands struct {
	Install packInstallCommand `cmd:"" help:"Upload a pack and build its image."`
	List    packListCommand    `cmd:"" help:"List packs."`
	Show    packShowCommand    `cmd:"" help:"Describe a pack and its actions."`
	Status  packStatusCommand  `cmd:"" help:"Show status and progress of a pack's newest installation."`
	Log     packLogCommand     `cmd:"" help:"Print the log of a pack's newest installation."`
	Remove  packRemoveCommand  `cmd:"" help:"Uninstall a pack; its history is kept."`
	Schema  packSchemaCommand  `cmd:"" help:"Print the JSON Schema of a kind of pack file, for editors."`
}

type packListCommand struct{}

// Run does what the command's help says.
func (*packListCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	packs, raw, err := fetchList[attune.Pack](ctx, c, client.Path("packs"), nil, 0)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{"PACK", "VERSION", "UPDATED", "LABEL"}}
	for _, pack := range packs {
		t.add(pack.Ref, orDash(pack.Version), s.when(&pack.UpdatedAt), pack.Label)
	}
	s.printTable(t)
	return nil
}

type packShowCommand struct {
	Pack string `arg:"" help:"Pack to describe."`
}

// Run does what the command's help says.
func (p *packShowCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Get(ctx, client.Path("packs", p.Pack), nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var pack attune.Pack
	if err := answer.Decode(&pack); err != nil {
		return err
	}
	actions, _, err := fetchList[attune.Action](ctx, c, client.Path("actions"), url.Values{"pack": {p.Pack}}, 0)
	if err != nil {
		return err
	}
	s.printFields([]field{
		{"pack", pack.Ref}, {"version", orDash(pack.Version)}, {"label", pack.Label}, {"description", pack.Description},
		{"author", pack.Author}, {"tags", strings.Join(pack.Tags, ", ")}, {"image", pack.ImageDigest},
		{"created", s.when(&pack.CreatedAt)}, {"updated", s.when(&pack.UpdatedAt)},
	})
	if len(actions) == 0 {
		return nil
	}
	writef(s.stdout, "\n")
	t := table{header: []string{"ACTION", "RUNNER", "LIMIT", "SECRETS", "DESCRIPTION"}}
	for _, action := range actions {
		limit := "-"
		if concurrency := action.Policy.Concurrency; concurrency != nil {
			limit = strconv.Itoa(concurrency.Limit)
		}
		t.add(action.Ref, string(action.RunnerType), limit, orDash(strings.Join(action.Secrets, ",")), action.Description)
	}
	s.printTable(t)
	return nil
}

type packStatusCommand struct {
	Pack string `arg:"" help:"Pack whose newest installation to show."`
}

// Run does what the command's help says.
func (p *packStatusCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Get(ctx, client.Path("packs", p.Pack, "installation-status"), nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var i attune.Installation
	if err := answer.Decode(&i); err != nil {
		return err
	}
	s.printFields([]field{
		{"pack", i.Pack}, {"version", i.Version}, {"status", string(i.Status)}, {"phase", string(i.Phase)},
		{"progress", strconv.Itoa(i.Progress) + "%"}, {"error", i.Error}, {"image", i.ImageDigest}, {"installation", i.ID},
		{"created", s.when(&i.CreatedAt)}, {"started", s.when(i.StartedAt)}, {"finished", s.when(i.FinishedAt)},
	})
	return nil
}

type packLogCommand struct {
	Pack string `arg:"" help:"Pack whose newest installation's log to print."`
}

// Run does what the command's help says.
func (p *packLogCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	source := logSource{path: client.Path("packs", p.Pack, "installation-log")}
	if s.JSON {
		return s.printLogPages(ctx, c, source)
	}
	_, err = (&tail{logSource: source, out: s.stdout, visible: s.stdoutTerminal}).catchUp(ctx, c)
	return err
}

type packRemoveCommand struct {
	Pack string `arg:"" help:"Pack to uninstall."`
}

// Run does what the command's help says.
func (p *packRemoveCommand) Run(ctx context.Context, s *session) error {
	return s.remove(ctx, client.Path("packs", p.Pack), nil, "pack "+p.Pack)
}

// remove deletes what is at path and says so.
func (s *session) remove(ctx context.Context, path string, query url.Values, what string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Send(ctx, http.MethodDelete, path, query, nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	writef(s.stdout, "%s removed\n", what)
	return nil
}

// orPrint prints the answer as JSON where there is no error.
func orPrint(err error, s *session, answer client.Answer) error {
	if err != nil {
		return err
	}
	return s.printJSON(answer.Data)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
