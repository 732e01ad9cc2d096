// Package logs takes the output of executions and installations into the log bucket (contract 5): streams through a
// spool on the local disk, as segments while they are written and as one object when they have ended, and after them
// the result, output files and manifest. It reads pages of a stream at any time.
//
// A stream never waits for S3, and what is in the spool reaches the bucket even if this process dies. The package must
// not know the database, nor what an outcome means.
//
// Start reading at Store, then follow a Writer: Create, Write, End, Upload. Recover and Resume are for what an earlier
// process left.
package logs
