package logs

import (
	"context"
	"iter"
	"regexp"
	"strings"
	"time"

	"attune/storage/s3"
)

// RemoveDays removes the objects of the executions that were submitted on the days before a given one, in UTC, except
// those for which keep is true. It goes by the names in the bucket and not by the database, so it also finds what came
// late, out of a spool that had waited for months. It holds a page of each listing in memory. It may be interrupted and
// repeated.
func (l *Store) RemoveDays(ctx context.Context, before time.Time, keep func(id string) bool) (removed int, err error) {
	return l.bucket.Remove(ctx, l.daysBefore(ctx, before.UTC().Format(dayFolder), keep))
}

// Levels of folders: executions/<pack>/<action>/<yyyy>/<mm>/<dd>/<id>/<object>.
const (
	actionLevel = 3
	dayLevel    = 6
	idLevel     = 7
)

// daysBefore yields the objects that RemoveDays removes.
func (l *Store) daysBefore(ctx context.Context, end string, keep func(id string) bool) iter.Seq2[s3.Object, error] {
	return func(yield func(s3.Object, error) bool) {
		for folder, err := range l.oldFolders(ctx, "executions/", end) {
			if err != nil {
				yield(s3.Object{}, err)
				return
			}
			for object, err := range l.bucket.List(ctx, folder.Key, s3.ListOptions{Recursive: true}) {
				parts := strings.Split(object.Key, "/")
				if err == nil && (len(parts) <= idLevel || keep(parts[idLevel-1])) {
					continue // not of an execution, or of one that stays
				}
				if !yield(object, err) || err != nil {
					return
				}
			}
		}
	}
}

// oldFolders yields the folders of years, months and days that hold nothing but days before end.
func (l *Store) oldFolders(ctx context.Context, parent, end string) iter.Seq2[s3.Object, error] {
	return func(yield func(s3.Object, error) bool) {
		for folder, err := range l.bucket.List(ctx, parent, s3.ListOptions{}) {
			if err != nil {
				yield(s3.Object{}, err)
				return
			}
			if !strings.HasSuffix(folder.Key, "/") {
				continue // an object that is not ours
			}
			switch ageOf(folder.Key, end) {
			case old:
				if !yield(folder, nil) {
					return
				}
			case mixed:
				for deeper, err := range l.oldFolders(ctx, folder.Key, end) {
					if !yield(deeper, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

type age int

const (
	young age = iota // no day is before end, or it is no folder of days
	mixed
	old // all days are before end
)

var datePart = regexp.MustCompile(`^\d{4}(/\d\d){0,2}$`)

// ageOf compares the days in a folder with end, which is written as dayFolder.
func ageOf(key, end string) age {
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
