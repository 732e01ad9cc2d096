package main

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"attune"
	"attune/cmd/attune/internal/client"
)

// awaitInstallation waits until the installation is over and shows its progress: a bar on a terminal, else a line
// "<phase> <percent>" for each phase.
func (s *session) awaitInstallation(
	ctx context.Context, c *client.Client, started attune.Installation,
) (installation attune.Installation, document json.RawMessage, err error) {
	installation = started
	show := s.progress(ctx, installation.Pack)
	defer show.end()
	path := client.Path("packs", started.Pack, "installation-status")
	err = s.poll(ctx, func() (moved, done bool, err error) {
		answer, err := c.Get(ctx, path, nil)
		if err != nil {
			return false, false, err
		}
		var now attune.Installation
		if err := answer.Decode(&now); err != nil {
			return false, false, err
		}
		if now.ID != started.ID {
			return false, false, &userError{
				message: started.Pack + " was installed again meanwhile, as installation " + now.ID,
				hint:    "`attune pack status " + started.Pack + "` shows that one", status: exitOther,
			}
		}
		moved = now.Phase != installation.Phase
		installation, document = now, answer.Data
		show.at(now)
		return moved, now.Status.Terminal(), nil
	})
	return installation, document, err
}

// progress shows how far an installation is.
type progress interface {
	at(attune.Installation)
	// end gives the terminal back.
	end()
}

func (s *session) progress(ctx context.Context, pack string) progress {
	if s.stderrTerminal {
		return newBar(ctx, s, pack)
	}
	return &phaseLines{session: s}
}

// phaseLines prints a line for each new phase.
type phaseLines struct {
	session *session
	last    attune.InstallationPhase
}

func (p *phaseLines) at(i attune.Installation) {
	if i.Phase == p.last {
		return
	}
	p.last = i.Phase
	writef(p.session.stderr, "%s %d\n", i.Phase, i.Progress)
}

func (*phaseLines) end() {}

// bar is a progress bar with the phase and the time that has passed.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	// phase is written by the command and read by the goroutine that draws.
	phase atomic.Value
}

func newBar(ctx context.Context, s *session, pack string) *bar {
	b := &bar{}
	b.phase.Store(string(attune.PhaseQueued))
	b.container = mpb.NewWithContext(ctx, mpb.WithOutput(s.stderr), mpb.WithWidth(40), mpb.WithAutoRefresh())
	b.bar = b.container.New(100, mpb.BarStyle().Lbound("").Filler("█").Tip("").Padding("░").Rbound(""),
		mpb.PrependDecorators(decor.Name(pack+" ")),
		mpb.AppendDecorators(
			decor.NewPercentage(" %3d "), decor.Elapsed(decor.ET_STYLE_MMSS),
			decor.Any(func(decor.Statistics) string { return " " + b.phase.Load().(string) }),
		))
	return b
}

func (b *bar) at(i attune.Installation) {
	b.phase.Store(string(i.Phase))
	b.bar.SetCurrent(int64(i.Progress))
}

func (b *bar) end() {
	if !b.bar.Completed() {
		b.bar.Abort(false) // Leaves the bar where it stopped.
	}
	b.container.Wait()
}
