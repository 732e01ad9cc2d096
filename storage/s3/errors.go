package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/minio/minio-go/v7"

	"attune"
)

// ErrMissing is in the chain of an error about an object that does not exist.
var ErrMissing = errors.New("there is no such object")

// ErrRefused is in the chain of an error about an object that the service never takes, however often it is sent: its
// key or its size is not allowed there.
var ErrRefused = errors.New("the object store refuses it for good")

// passing are codes of status 400 that say nothing about the object: the request was cut off, or the credentials or the
// configuration are wrong.
var passing = []string{
	"AuthorizationHeaderMalformed", "BadDigest", "ExpiredToken", "IncompleteBody", "InvalidBucketName", "InvalidDigest",
	"InvalidRegion", "InvalidToken", "RequestTimeout", "TokenRefreshRequired", "XAmzContentSHA256Mismatch",
}

// refuses reports whether the answer to a request that stores an object is about the object.
func refuses(answer minio.ErrorResponse) bool {
	switch answer.StatusCode {
	case http.StatusBadRequest:
		return !slices.Contains(passing, answer.Code)
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnprocessableEntity:
		return true
	default: // of the others, an operator may mend the cause, such as missing rights
		return false
	}
}

// Translate is the one place where an error of the S3 client becomes an error of ours. A missing object is ErrMissing,
// one that is refused ErrRefused. Anything else that is not the service's considered answer is CodeUnavailable: trying
// again may help.
func Translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	answer, answered := errors.AsType[minio.ErrorResponse](err)
	switch {
	case answered && answer.Code == minio.NoSuchKey:
		return fmt.Errorf("%w: %w", ErrMissing, cause)
	case answered && refuses(answer):
		return fmt.Errorf("%w: %w", ErrRefused, cause)
	case errors.Is(err, context.Canceled), answered && answer.StatusCode < http.StatusInternalServerError:
		return cause
	default:
		const message = "the object store does not answer; try again soon"
		return &attune.Error{Code: attune.CodeUnavailable, Message: message, Cause: cause}
	}
}
