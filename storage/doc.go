// Package storage keeps what Attune must not forget: rows in PostgreSQL by noun, archives and logs in S3, and the sealing
// of secrets before they reach either.
//
// It reads executions but never moves one from state to state; the scheduler owns these statements and writes them on
// DB.Pool.
package storage
