package imagebuilder

import (
	"context"
	"errors"
	"io"
	"strings"

	"attune"
	"attune/images"
)

// checkCode refuses a pack with a Python action that could not run. The image's own Python says so, with its modules.
func (b *Builder) checkCode(ctx context.Context, layers stack, m attune.Manifest, log io.Writer) (err error) {
	command := images.Check(m.Actions)
	if command == nil {
		return nil
	}
	w, err := b.openWorkspace(ctx, layers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	limited, cancel := context.WithTimeoutCause(ctx, b.config.Limits.Time, errTimeLimit)
	defer cancel()
	return w.run(limited, step{
		name:    "checking the actions' files",
		args:    command,
		dir:     images.PackDir,
		reading: reading{picks: picksOfCheck},
	}, log)
}

// picksOfCheck takes everything but notes.
func picksOfCheck(line, _ string) []string {
	if strings.HasPrefix(line, "note: ") {
		return nil
	}
	return []string{line}
}
