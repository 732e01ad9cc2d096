package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"attune/internal/retry"
)

var errBusy = errors.New("busy")

func TestPausesDouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		var pauses []time.Duration
		err := retry.Do(t.Context(), retry.Pauses(time.Second, 4*time.Second), func() error {
			if tries++; tries <= 5 {
				return errBusy
			}
			return nil
		}, func(err error, pause time.Duration) {
			if !errors.Is(err, errBusy) {
				t.Errorf("notified of %v", err)
			}
			pauses = append(pauses, pause)
		})
		if err != nil || tries != 6 {
			t.Fatalf("got %v after %d tries", err, tries)
		}
		for i, middle := range []time.Duration{1, 2, 4, 4, 4} {
			if least := middle * time.Second / 2; pauses[i] < least || pauses[i] > 3*least+1 {
				t.Errorf("pause %d took %s", i, pauses[i])
			}
		}
	})
}

func TestLastErrorIsReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		err := retry.Do(ctx, retry.Pauses(time.Second, time.Minute), func() error { return errBusy }, nil)
		if !errors.Is(err, errBusy) || time.Since(begin) != time.Hour {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
	})
}

func TestPermanentErrorEndsIt(t *testing.T) {
	t.Parallel()
	tries := 0
	err := retry.Do(t.Context(), retry.Pauses(time.Hour, time.Hour), func() error {
		tries++
		return retry.Permanent(errBusy)
	}, nil)
	if err != errBusy || tries != 1 { //nolint:errorlint // the mark is to be gone
		t.Errorf("got %v after %d tries", err, tries)
	}
}
