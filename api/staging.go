package api

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"attune/imagebuilder/pack"
)

// Uploads at once, and those of them whose archives are looked through: of all tokens, and of one.
const (
	maxUploads, maxTokenUploads = 16, 4
	maxLooks, maxTokenLooks     = 4, 2
)

// staging bounds what all uploads together take of this host.
type staging struct {
	uploads, looks *limiter
	// received bounds the bytes of archives as they came; bytes and files bound what they unpack to.
	received, bytes, files *share
	refused, unpacked      prometheus.Counter
}

// newStaging has room for eight archives of the largest size, one that unpacks to the largest, and many usual ones.
func newStaging(limits pack.Limits) *staging {
	return &staging{
		uploads:  newLimiter("uploads", maxUploads, maxTokenUploads),
		looks:    newLimiter("archives that are looked through", maxLooks, maxTokenLooks),
		received: newShare(8 * limits.ArchiveBytes),
		bytes:    newShare(3 * limits.UnpackedBytes),
		files:    newShare(2 * int64(limits.Files)),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "attune_uploads_refused_total", Help: "Uploads refused because others took all room for them.",
		}),
		unpacked: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "attune_uploads_unpacked_bytes_total", Help: "Disk space that unpacked uploads took.",
		}),
	}
}

func (s *staging) collectors() []prometheus.Collector {
	gauge := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "attune_uploads_" + name, Help: help},
			func() float64 { return float64(value()) })
	}
	return []prometheus.Collector{
		s.refused, s.unpacked,
		gauge("bytes", "Disk space that uploads may take now.", func() int64 {
			return s.received.taken.Load() + s.bytes.taken.Load()
		}),
		gauge("files", "Files and folders that uploads may make now.", s.files.taken.Load),
	}
}

// receive makes room for an archive of at most n bytes.
func (s *staging) receive(ctx context.Context, token string, n int64) (release func(), err error) {
	leave, err := s.counted(s.uploads.acquire(ctx, token))
	if err != nil {
		return nil, err
	}
	free, err := s.room(s.received.take(ctx, n))
	if err != nil {
		leave()
		return nil, err
	}
	return func() {
		free()
		leave()
	}, nil
}

// look waits until an archive of the token may be looked through.
func (s *staging) look(ctx context.Context, token string) (release func(), err error) {
	return s.counted(s.looks.acquire(ctx, token))
}

// unpack makes room for an archive's files, and for the one archive that is made of them.
func (s *staging) unpack(ctx context.Context, c pack.Contents) (release func(), err error) {
	releaseBytes, err := s.room(s.bytes.take(ctx, 2*c.Bytes))
	if err != nil {
		return nil, err
	}
	releaseFiles, err := s.room(s.files.take(ctx, c.Files))
	if err != nil {
		releaseBytes()
		return nil, err
	}
	s.unpacked.Add(float64(c.Bytes))
	return func() {
		releaseFiles()
		releaseBytes()
	}, nil
}

func (s *staging) room(release func(), err error) (func(), error) {
	if err != nil {
		err = busy("uploads")
	}
	return s.counted(release, err)
}

// counted counts a refusal.
func (s *staging) counted(release func(), err error) (func(), error) {
	if err != nil {
		s.refused.Inc()
	}
	return release, err
}

// share is an amount that its holders divide.
type share struct {
	free  *semaphore.Weighted
	all   int64
	taken atomic.Int64
}

func newShare(all int64) *share { return &share{free: semaphore.NewWeighted(all), all: all} }

// take waits for n until ctx ends. A request for more than there is gets all of it.
func (s *share) take(ctx context.Context, n int64) (release func(), err error) {
	n = min(n, s.all)
	if err := s.free.Acquire(ctx, n); err != nil {
		return nil, err
	}
	s.taken.Add(n)
	return func() {
		s.taken.Add(-n)
		s.free.Release(n)
	}, nil
}
