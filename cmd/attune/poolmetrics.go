package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"attune/sandbox"
)

// poolMetrics are what a worker's pool tells at /metrics.
func poolMetrics(pool *sandbox.Pool) []prometheus.Collector {
	counter := func(name, help string, value func(sandbox.PoolStats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "attune_pool_" + name, Help: help},
			func() float64 { return float64(value(pool.Stats())) })
	}
	gauge := func(name, help string, value func(sandbox.PoolStats) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "attune_pool_" + name, Help: help},
			func() float64 { return float64(value(pool.Stats())) })
	}
	return []prometheus.Collector{
		counter("hits_total", "Executions that were given a sandbox made ahead.", func(s sandbox.PoolStats) int64 { return s.Hits }),
		counter("misses_total", "Executions for which none was ready.", func(s sandbox.PoolStats) int64 { return s.Misses }),
		counter("refills_total", "Sandboxes made ahead.", func(s sandbox.PoolStats) int64 { return s.Refills }),
		counter("failures_total", "Sandboxes that could not be made ahead, or ended while they waited.",
			func(s sandbox.PoolStats) int64 { return s.Failures }),
		counter("drained_total", "Sandboxes made ahead and removed without having been used.",
			func(s sandbox.PoolStats) int64 { return s.Drained }),
		gauge("sandboxes", "Sandboxes that wait for an execution.", func(s sandbox.PoolStats) int64 { return s.Waiting }),
		gauge("memory_bytes", "What the sandboxes that wait take.", func(s sandbox.PoolStats) int64 { return s.MemoryBytes }),
	}
}
