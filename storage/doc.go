// Package storage keeps rows in PostgreSQL, by noun, and seals secrets before they get there. What goes to S3 is in the
// packages below it: logs, and s3, which holds the connection.
//
// It reads executions but never moves one from state to state; the scheduler owns these statements and writes them on
// DB.Pool.
//
// Start reading at DB.
package storage
