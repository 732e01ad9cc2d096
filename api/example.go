package api

import (
	"encoding/json"
	"time"

	"attune"
)

// The examples of the documentation, told as one story: the pack weather forecasts.
var (
	exampleTime   = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	exampleDigest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

	examplePack = attune.Pack{
		Ref: "weather", Label: "Weather", Description: "Weather forecasts", Author: "Ada", Version: "1.2.0",
		Tags: []string{"forecast"}, ImageDigest: exampleDigest, CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}
	exampleInstallation = attune.Installation{
		ID: "0195511c-4a40-7d3e-9c1a-5b2f6e8d7a10", Pack: "weather", Version: "1.2.0",
		ArchiveSHA256: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
		Status:        attune.InstallationInstalling, Phase: attune.PhaseDependencies,
		Progress: attune.PhaseDependencies.Progress(), CreatedAt: exampleTime, StartedAt: &exampleTime,
	}
	exampleAction = attune.Action{
		ID: "0195511c-5b51-7f00-8e2b-6c3a7f9e8b21", Ref: "weather.forecast", Pack: "weather", Label: "Forecast",
		RunnerType: attune.RunnerPython, EntryPoint: "forecast.py",
		Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`),
		Secrets:    []string{"api_key"}, TimeoutSeconds: 60, Network: attune.NetworkNone,
		Resources: attune.Resources{
			CPU: attune.DefaultCPU, MemoryBytes: attune.DefaultMemoryBytes, Pids: attune.DefaultPids,
			TmpBytes: attune.DefaultTmpBytes,
		},
		Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: 2}},
	}
	exampleStats = attune.QueueStats{
		Waiting: 3, Running: 2, Limit: new(2), AvgWaitTimeSeconds: new(4.2), OldestWaitSeconds: new(9.8),
	}
	exampleActionPolicy = attune.ScopedPolicy{
		Scope: "actions/weather.forecast", Origin: attune.OriginOperator, UpdatedAt: exampleTime,
		Policy: attune.Policy{
			Concurrency: &attune.Concurrency{Limit: 1, Key: []string{"city"}, Total: new(4), Method: attune.MethodEnqueue},
			RateLimit:   &attune.RateLimit{MaxExecutions: 100, WindowSeconds: 3600}, MaxWaitSeconds: new(600),
		},
	}
	examplePackPolicy = attune.ScopedPolicy{
		Scope: "packs/weather", Origin: attune.OriginOperator, UpdatedAt: exampleTime,
		Policy: attune.Policy{
			Concurrency: &attune.Concurrency{Limit: 8},
			Quota:       &attune.Quota{MaxExecutions: 10_000, PeriodSeconds: 86_400},
		},
	}
	exampleGlobalPolicy = attune.ScopedPolicy{
		Scope: "global", Origin: attune.OriginOperator, UpdatedAt: exampleTime,
		Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: 64}, MaxWaiting: new(100_000)},
	}
	exampleExecution = attune.Execution{
		ID: "0195511d-0c62-7a11-9f3c-7d4b80af9c32", Action: "weather.forecast", Pack: "weather", PackVersion: "1.2.0",
		ImageDigest: exampleDigest, Status: attune.StatusQueued, Attempt: 1,
		Parameters: json.RawMessage(`{"city":"Oslo"}`), Position: new(3), CreatedAt: exampleTime,
	}
	exampleEnded = attune.Execution{
		ID: exampleExecution.ID, Action: "weather.forecast", Pack: "weather", PackVersion: "1.2.0",
		ImageDigest: exampleDigest, Status: attune.StatusCompleted, Attempt: 1, Parameters: exampleExecution.Parameters,
		Result: json.RawMessage(`{"degrees":4}`), ExitCode: new(0),
		Usage:   &attune.Usage{CPUSeconds: 0.42, PeakMemoryBytes: 31 << 20, ThrottledSeconds: 0.05},
		Outputs: []attune.OutputFile{{Name: "charts/oslo.svg", Size: 8211, SHA256: exampleInstallation.ArchiveSHA256}},
		Worker:  "host-1-c4k7q2wn", CreatedAt: exampleTime, ScheduledAt: &exampleTime, StartedAt: &exampleTime,
		FinishedAt: new(exampleTime.Add(700 * time.Millisecond)),
	}
	exampleQueue       = attune.QueueState{Action: "weather.forecast", Key: `{"city":"Oslo"}`, QueueStats: exampleStats}
	exampleExplanation = attune.Explanation{
		Execution: exampleExecution.ID, Status: attune.StatusQueued, Action: "weather.forecast", Key: `{"city":"Oslo"}`,
		Position: new(3),
		Gate: &attune.Gate{
			Kind: attune.GateConcurrency, Scope: "queues/weather.forecast", Limit: 1, Taken: 1,
			Holders: []attune.Holder{{
				Execution: "0195511c-fb52-7c44-9a1d-2e5f70b1d854", Action: "weather.forecast", Status: attune.StatusRunning,
				Worker: "host-1-c4k7q2wn", ScheduledAt: exampleTime, StartedAt: &exampleTime,
			}},
		},
		ExpectedStartAt: new(exampleTime.Add(12 * time.Second)),
		Summary:         "third in its queue, whose one slot is taken; expected to start in 12 seconds",
	}
	exampleWorker = attune.Worker{
		Name: "host-1-c4k7q2wn", Capacity: 8, Labels: map[string]string{"zone": "north"}, StartedAt: exampleTime,
		LeaseExpiresAt: exampleTime.Add(15 * time.Second), Alive: true,
		Executions: []string{"0195511c-fb52-7c44-9a1d-2e5f70b1d854"},
	}
	exampleLogPage = attune.LogPage{Content: "Oslo: 4 degrees, snow\n", NextOffset: 22, TotalSize: 22}
	exampleSecret  = attune.Secret{
		Name: "api_key", Scope: attune.Scope{Pack: "weather"}, CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}
	exampleToken = attune.Token{
		ID: "0195511d-1d73-7b22-8a4d-8e5c91b0ad43", Name: "ci", Role: attune.RoleOperator, Packs: []string{"weather"},
		CreatedAt: exampleTime,
	}
)
