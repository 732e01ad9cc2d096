package logs

import (
	"fmt"
	"time"
)

// Names in the log bucket (contract 5), below the prefix of an execution or installation.
const (
	logSuffix     = ".log" // stdout.log
	attemptFolder = "attempt-"
	outputFolder  = "output/"
	manifestName  = "manifest.json"
	resultName    = "result.json"
)

// dayFolder is how ExecutionPrefix writes a day.
const dayFolder = "2006/01/02"

// ExecutionPrefix is the prefix of the objects of an execution; name is the action's, without its pack.
func ExecutionPrefix(pack, name string, created time.Time, id string) string {
	return fmt.Sprintf("executions/%s/%s/%s/%s/", pack, name, created.UTC().Format(dayFolder), id)
}

// AttemptPrefix is the prefix of the objects of an attempt that was tried again, below the prefix of its execution. The
// objects of the last attempt are not there but at the execution's prefix itself.
func AttemptPrefix(prefix string, attempt int) string {
	return fmt.Sprintf("%s%s%d/", prefix, attemptFolder, attempt)
}

// InstallationStream is the only stream of an installation.
const InstallationStream = "install"

// InstallationPrefix is the prefix of the log of an installation.
func InstallationPrefix(pack, id string) string { return "installations/" + pack + "/" + id + "/" }

// segmentsPrefix is the prefix of an attempt's segments while it runs.
func segmentsPrefix(prefix string, attempt int) string {
	if attempt <= 1 {
		return prefix
	}
	return AttemptPrefix(prefix, attempt)
}

// segmentFolder holds the segments of a stream.
func segmentFolder(prefix, stream string) string { return prefix + stream + "/" }

// segmentKey names the piece of a running stream that begins at offset; names sort as offsets do.
func segmentKey(prefix, stream string, offset int64) string {
	return fmt.Sprintf("%s%020d%s", segmentFolder(prefix, stream), offset, logSuffix)
}

// truncatedKey is the metadata of a stored stream that lacks bytes.
const truncatedKey = "Attune-Truncated"

// Content types of the objects.
const (
	textType = "text/plain; charset=utf-8"
	jsonType = "application/json"
	fileType = "application/octet-stream"
)
