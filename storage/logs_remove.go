package storage

import (
	"context"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// RemoveDays removes the objects of the executions that were submitted on the days before a given one, in UTC, except those
// that keep names. It goes by the names in the bucket and not by records, so that it also finds what came late, out of a
// spool that had waited for months. It holds a page of each listing in memory; what was interrupted is simply repeated.
func (l *Logs) RemoveDays(ctx context.Context, before time.Time, keep func(id string) bool) (removed int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var listing error
	objects := func(yield func(minio.ObjectInfo) bool) {
		for object := range l.daysBefore(ctx, before.UTC().Format(dayFolder), keep) {
			if listing = object.Err; listing != nil || !yield(object) {
				return
			}
		}
	}
	results, err := l.objects.client.RemoveObjectsWithIter(ctx, l.objects.config.LogBucket, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return 0, objectError("remove old logs", err)
	}
	for result := range results {
		if result.Err != nil {
			return removed, objectError("remove "+result.ObjectName, result.Err)
		}
		removed++
	}
	if listing == nil {
		listing = ctx.Err() // then nothing has been looked at
	}
	return removed, objectError("list old logs", listing)
}

// dayFolder is how ExecutionPrefix writes a day.
const dayFolder = "2006/01/02"

// Levels of folders: executions/<pack>/<action>/<yyyy>/<mm>/<dd>/<id>/<object>.
const (
	actionLevel = 3
	dayLevel    = 6
	idLevel     = 7
)

// daysBefore are the objects that RemoveDays removes; one with an error is the last.
func (l *Logs) daysBefore(ctx context.Context, end string, keep func(id string) bool) iter.Seq[minio.ObjectInfo] {
	return func(yield func(minio.ObjectInfo) bool) {
		for folder := range l.oldFolders(ctx, "executions/", end) {
			if folder.Err != nil {
				yield(folder)
				return
			}
			for object := range l.listObjects(ctx, folder.Key, true) {
				parts := strings.Split(object.Key, "/")
				if object.Err == nil && (len(parts) <= idLevel || keep(parts[idLevel-1])) {
					continue // not of an execution, or of one that stays
				}
				if !yield(object) || object.Err != nil {
					return
				}
			}
		}
	}
}

// oldFolders are the folders of years, months and days that have nothing but old days in them.
func (l *Logs) oldFolders(ctx context.Context, parent, end string) iter.Seq[minio.ObjectInfo] {
	return func(yield func(minio.ObjectInfo) bool) {
		for folder := range l.listObjects(ctx, parent, false) {
			if folder.Err != nil {
				yield(folder)
				return
			}
			if !strings.HasSuffix(folder.Key, "/") {
				continue // an object that is not ours
			}
			switch ageOf(folder.Key, end) {
			case old:
				if !yield(folder) {
					return
				}
			case mixed:
				for deeper := range l.oldFolders(ctx, folder.Key, end) {
					if !yield(deeper) || deeper.Err != nil {
						return
					}
				}
			}
		}
	}
}

// Ages of a folder.
const (
	young = iota
	mixed
	old
)

var datePart = regexp.MustCompile(`^\d{4}(/\d\d){0,2}$`)

// ageOf tells whether the days in a folder are all before end, which is written as dayFolder.
func ageOf(key, end string) int {
	parts := strings.Split(key, "/") // the last is empty
	level := len(parts) - 1
	if level <= actionLevel {
		return mixed
	}
	date := strings.Join(parts[actionLevel:level], "/")
	same := end[:min(len(date), len(end))]
	switch {
	case !datePart.MatchString(date): // not ours
		return young
	case date < same:
		return old
	case date == same && level < dayLevel:
		return mixed
	default:
		return young
	}
}

func (l *Logs) listObjects(ctx context.Context, folder string, all bool) iter.Seq[minio.ObjectInfo] {
	return l.objects.client.ListObjectsIter(ctx, l.objects.config.LogBucket,
		minio.ListObjectsOptions{Prefix: folder, Recursive: all})
}
