package main

import (
	"log/slog"
	"time"

	"attune/scheduler/retention"
)

// historyFlags say how long executions that are over are kept.
type historyFlags struct {
	HistoryAge   duration `group:"service" env:"ATTUNE_HISTORY_AGE" default:"30d" help:"How long executions and their logs are kept after submission: 30d, 12h; 0 keeps them for good."`
	HistoryCount int      `group:"service" env:"ATTUNE_HISTORY_COUNT" default:"0" help:"Also remove whole days that are not needed to keep the newest N executions; 0 sets no bound."`
}

// Validate is called by the parser.
func (f historyFlags) Validate() error {
	if f.HistoryCount < 0 {
		return usagef("--history-count %d: write how many executions to keep, or 0 for no bound", f.HistoryCount)
	}
	return nil
}

func (f historyFlags) cleaner(st *stores, log *slog.Logger) *retention.Cleaner {
	return &retention.Cleaner{DB: st.db, Logs: st.logs, Age: time.Duration(f.HistoryAge), Count: f.HistoryCount, Log: log}
}
