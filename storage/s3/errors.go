package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"attune"
)

// ErrMissing is in the chain of an error about an object that does not exist.
var ErrMissing = errors.New("there is no such object")

// Translate is the one place where an error of the S3 client becomes an error of ours. A missing object is ErrMissing.
// Anything else that is not the service's considered answer is CodeUnavailable: trying again may help.
func Translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	answer, answered := errors.AsType[minio.ErrorResponse](err)
	switch {
	case answered && answer.Code == minio.NoSuchKey:
		return fmt.Errorf("%w: %w", ErrMissing, cause)
	case errors.Is(err, context.Canceled), answered && answer.StatusCode < http.StatusInternalServerError:
		return cause
	default:
		const message = "the object store does not answer; try again soon"
		return &attune.Error{Code: attune.CodeUnavailable, Message: message, Cause: cause}
	}
}
