package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"attune"
	"attune/cmd/attune/internal/client"
)

// packInstallCommand uploads a pack and, with --wait, stays until its image is built.
type packInstallCommand struct {
	Source string `arg:"" name:"dir|archive" type:"path" help:"Folder with a pack.yaml, or an archive of one: .zip, .tar.gz, .tgz or .tar.zst."`
	Wait   bool   `short:"w" help:"Wait until the pack is installed, and show the progress."`
}

// Help is the long text of `attune pack install --help`.
func (*packInstallCommand) Help() string {
	return `A folder is packed on the way, without ` + leftOutText + `.

A file ` + ignoreFile + ` in it says what else stays out, in the syntax of .gitignore; a line such as !node_modules/
takes one of these back.

The service checks the archive, answers, and builds the image in the background. The version that serves now goes on
serving until the new one is installed, and also if that fails.

With --wait the exit status is 0 when the pack is installed, and 1 when the installation failed: then the end of its log
is printed.

Examples:

    attune pack install ./weather --wait
    attune pack install weather-1.2.0.tar.zst
    attune pack status weather
`
}

// Run does what the type says.
func (p *packInstallCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := s.uploadPack(ctx, c, p.Source)
	if err != nil {
		return err
	}
	var accepted struct {
		Installation attune.Installation `json:"installation"`
	}
	if err := answer.Decode(&accepted); err != nil {
		return err
	}
	installation, document := accepted.Installation, answer.Data
	if p.Wait {
		installation, document, err = s.awaitInstallation(ctx, c, installation)
		if errors.Is(err, context.Canceled) {
			s.notef("interrupted; the installation goes on: `attune pack status %s` shows it", installation.Pack)
		}
		if err != nil {
			return err
		}
	}
	if installation.Status == attune.InstallationFailed {
		return s.reportFailedInstallation(ctx, c, installation, document)
	}
	switch {
	case s.JSON:
		return s.printJSON(document)
	case p.Wait:
		writef(s.stdout, "%s %s %s %s\n", installation.Pack, installation.Version,
			s.paintStatus(string(installation.Status)), installation.ImageDigest)
	default:
		writef(s.stdout, "%s %s %s, installation %s\n", installation.Pack, installation.Version,
			s.paintStatus(string(installation.Status)), installation.ID)
	}
	return nil
}

// uploadPack sends a folder or an archive.
func (s *session) uploadPack(ctx context.Context, c *client.Client, source string) (client.Answer, error) {
	info, err := os.Stat(source)
	if err != nil {
		return client.Answer{}, usagef("%v", err)
	}
	path := client.Path("packs", "upload")
	if info.IsDir() {
		files, left, err := packFiles(source)
		if err != nil {
			return client.Answer{}, err
		}
		s.sayLeftOut(left)
		return c.Upload(ctx, path, filepath.Base(source)+".tar.gz", func(w io.Writer) error {
			return writePack(w, source, files)
		})
	}
	archive, err := os.Open(source)
	if err != nil {
		return client.Answer{}, usagef("%v", err)
	}
	defer func() { _ = archive.Close() }() // Only read.
	return c.Upload(ctx, path, filepath.Base(source), func(w io.Writer) error {
		_, err := io.Copy(w, archive)
		return err
	})
}

// reportFailedInstallation shows the error and the end of the log, where the resolver's own words are.
func (s *session) reportFailedInstallation(
	ctx context.Context, c *client.Client, installation attune.Installation, document []byte,
) error {
	if s.JSON {
		if err := s.printJSON(document); err != nil {
			return err
		}
	}
	source := logSource{path: client.Path("packs", installation.Pack, "installation-log")}
	if end, err := logEnd(ctx, c, source); err != nil {
		s.notef("the log cannot be read: %v", err)
	} else if end != "" {
		if s.stderrTerminal {
			end = visible(end)
		}
		writef(s.stderr, "%s", end)
	}
	s.notef("the installation of %s %s failed: %s", installation.Pack, installation.Version, installation.Error)
	writef(s.stderr, "  hint: `attune pack log %s` prints the whole log\n", installation.Pack)
	return exitStatus(exitFailed)
}
