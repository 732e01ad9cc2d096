package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"attune/sandbox"
)

// poolMetrics are the pool's figures at /metrics.
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
		counter("hits_total", "Executions that found a warm sandbox.", func(s sandbox.PoolStats) int64 { return s.Hits }),
		counter("misses_total", "Executions that found no warm sandbox.",
			func(s sandbox.PoolStats) int64 { return s.Misses }),
		counter("refills_total", "Warm sandboxes made.", func(s sandbox.PoolStats) int64 { return s.Refills }),
		counter("failures_total", "Warm sandboxes that could not be made, or ended while they waited.",
			func(s sandbox.PoolStats) int64 { return s.Failures }),
		counter("drained_total", "Warm sandboxes removed unused.",
			func(s sandbox.PoolStats) int64 { return s.Drained }),
		gauge("sandboxes", "Sandboxes that wait for an execution.", func(s sandbox.PoolStats) int64 { return s.Waiting }),
		gauge("memory_bytes", "Memory of the sandboxes that wait.", func(s sandbox.PoolStats) int64 { return s.MemoryBytes }),
	}
}
